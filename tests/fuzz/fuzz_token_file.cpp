// Fuzzes tokens.bin, token files of other programs, and the guess at what a file contains. The result is an
// Error, or tokens within the vocabulary, also in batches. A model of another vocabulary takes the batches or
// refuses them. Each input is read unchanged and with corrected checksums, because wrong ones would hide the
// code behind them.
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "checksums.h"
#include "data/file_content.h"
#include "data_loader.h"
#include "fuzz_target.h"
#include "gpt_model.h"
#include "token_file.h"
#include "training_pass.h"

namespace hipgpt::fuzz {
namespace {

constexpr int kRows = 2, kSeqLen = 3;

/// A training pass of a model with 300 tokens. The vocabulary of a fuzzed file may differ.
TrainingPass& pass_of_300_tokens() {
  static const auto device = make_device("cpu", 1);
  static const auto model = [] {
    ModelConfig config;
    config.vocab_size = 300;
    config.max_seq_len = kSeqLen;
    config.embed_dim = config.num_heads = config.num_layers = config.ff_hidden_dim = 1;
    return std::make_unique<GPTModel>(*device, config);
  }();
  static TrainingPass pass(*model, kRows, kSeqLen, TrainingPass::kForwardOnly);
  return pass;
}

void check_model(const std::vector<int32_t>& inputs, const std::vector<int32_t>& targets) {
  bool in_vocabulary = true;
  for (const auto* ids : {&inputs, &targets}) {
    for (const int32_t id : *ids) in_vocabulary &= id >= 0 && id < 300;
  }
  double loss = NAN;
  const bool taken = succeeds([&] { loss = pass_of_300_tokens().loss(inputs, targets); });
  require(taken == in_vocabulary, "a model takes the tokens of its own vocabulary, and no others");
  require(!taken || std::isfinite(loss), "the loss is a number");
}

void check_batches(const TokenFile& tokens) {
  const DataSplit split = split_tokens(tokens.size(), 0.25, kSeqLen);
  std::vector<int32_t> inputs(kRows * kSeqLen), targets(kRows * kSeqLen);
  const DataLoader training(tokens, split.train_begin, split.train_end, kRows, kSeqLen, 1);
  training.random_batch(7, inputs.data(), targets.data());
  for (int i = 0; i + 1 < kSeqLen; ++i) require(inputs[i + 1] == targets[i], "targets follow their inputs");
  check_model(inputs, targets);
  const DataLoader validation(tokens, split.val_begin, split.val_end, kRows, kSeqLen, 1);
  require(validation.num_windows() > 0, "a part has a window");
  for (size_t w = 0; w < validation.num_windows(); ++w) {
    validation.window(w, static_cast<int>(w % kRows), inputs.data(), targets.data());
  }
}

void check(const std::function<TokenFile()>& open) {
  std::optional<TokenFile> tokens;
  std::vector<int32_t> all;
  const auto read = [&] {
    tokens = open();
    all.resize(tokens->size());
    tokens->copy(0, all.size(), all.data());
  };
  if (!succeeds(read)) return;
  for (size_t i = 0; i < all.size(); ++i) {
    require(all[i] == (*tokens)[i], "one token and a row of them are the same");
    require(all[i] >= 0 && static_cast<uint64_t>(all[i]) < tokens->vocab_size(),
            "tokens are in the vocabulary");
  }
  succeeds([&] { check_batches(*tokens); });  // throws an Error if there are too few
}

void check(const std::string& bytes) {
  const MemoryFile file(bytes);
  const std::string path = file.path();
  check(
      [&] { return TokenFile::is_llmc(bytes) ? TokenFile::open_llmc(path, 50257) : TokenFile::open(path); });
  for (const uint32_t token_bytes : {2, 4}) {
    check([&] { return TokenFile::open_headerless(path, token_bytes, 50257); });
  }
  succeeds([&] { refuse_known_formats(path, bytes); });
  require(warning_about(path, guess_content(bytes)).find('\n') == std::string::npos, "a warning is one line");
}

}  // namespace
}  // namespace hipgpt::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(hipgpt::fuzz::as_text(data, size));
  hipgpt::fuzz::check(bytes);
  hipgpt::fuzz::check(hipgpt::fuzz::with_token_checksums(bytes));
  return 0;
}
