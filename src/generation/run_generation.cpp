#include "run_generation.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <random>

#include "checkpoint.h"
#include "error.h"
#include "generation/utf8_stream.h"
#include "generator.h"
#include "huggingface.h"
#include "run_folder.h"
#include "tokenizer.h"

namespace hipgpt {

namespace {

std::string checkpoint_file(const GenerationRun& run) {
  if (!run.checkpoint.empty()) return run.checkpoint;
  if (run.step && run.run_name.empty())
    throw Error("--step needs --run-name: only named runs keep several checkpoints");
  const RunFolder folder(run.run_name);
  const std::string path = run.step ? folder.checkpoint(*run.step) : folder.latest();
  if (!std::filesystem::exists(path)) {
    throw Error(
        fmt::format("{}: there is no such checkpoint; train one first (./scripts/run_train.sh)", path));
  }
  return path;
}

std::string tokenizer_file(const GenerationRun& run, const std::string& checkpoint) {
  return run.tokenizer.empty() ? tokenizer_beside(checkpoint) : run.tokenizer;
}

/// A trained model, and how remarks on it begin.
struct FoundModel {
  StoredWeights weights;
  Tokenizer tokenizer;
  std::string description;
};

FoundModel find_model(const GenerationRun& run) {
  const std::string path = checkpoint_file(run);
  if (std::filesystem::is_directory(path)) {
    HuggingFaceModel model = HuggingFaceModel::open(path, run.tokenizer);
    return {std::move(model.weights), std::move(model.tokenizer), path + ":"};
  }
  const Checkpoint checkpoint = Checkpoint::open(path);
  const std::string tokenizer_path = tokenizer_file(run, path);
  Tokenizer tokenizer = Tokenizer::load(tokenizer_path);
  checkpoint.check_tokenizer(tokenizer.hash(), tokenizer_path);
  return {checkpoint.weights(), std::move(tokenizer),
          fmt::format("{}: step {},", path, checkpoint.info().step)};
}

void write_out(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error("standard output cannot be written");
  }
}

/// For whoever reads standard error, if anybody does.
void remark(const std::string& text) {
  std::fputs(text.c_str(), stderr);
}

/// The token to stop at, or -1.
int64_t stop_token(const GenerationRun& run, const Tokenizer& tokenizer) {
  if (run.stop_token < 0) return tokenizer.special_token("<|endoftext|>").value_or(-1);
  if (run.stop_token >= tokenizer.vocab_size()) {
    throw Error(fmt::format("--eos-id {}: the vocabulary has the tokens 0 to {}", run.stop_token,
                            tokenizer.vocab_size() - 1));
  }
  return run.stop_token;
}

}  // namespace

void run_generation(const GenerationRun& run) {
  const bool generates = run.export_folder.empty();
  if (generates && run.prompt.empty()) throw Error("--prompt is empty: it has no tokens to continue from");
  const auto [weights, tokenizer, description] = find_model(run);
  if (!generates) {
    export_to_huggingface(run.export_folder, weights, tokenizer);
    remark(fmt::format("{} exported to {}\n", description, run.export_folder));
    return;
  }
  const int64_t stop = stop_token(run, tokenizer);

  const auto device = make_device(run.device, run.threads);
  GPTModel model(*device, weights.config);
  weights.load_into(model);

  Sampling sampling = run.sampling;
  sampling.seed = run.seed ? *run.seed : std::random_device{}();
  remark(fmt::format("{} {} parameters; {}; seed {}\n", description, model.layout().num_elements,
                     device->description(), sampling.seed));

  Generator generator(model, tokenizer.encode(run.prompt), sampling);
  write_out(run.prompt);
  Utf8Stream stream;
  const auto start = std::chrono::steady_clock::now();
  int64_t count = 0;
  while (count < run.num_tokens) {
    const int32_t token = generator.next();
    ++count;
    if (token == stop) break;
    write_out(stream.push(tokenizer.token_bytes(token)));
  }
  write_out(stream.finish() + "\n");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  remark(fmt::format("{} tokens in {:.2f} s, {:.0f} tokens/s\n", count, seconds,
                     static_cast<double>(count) / seconds));
}

}  // namespace hipgpt
