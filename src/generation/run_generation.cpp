#include "run_generation.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <random>

#include "checkpoint.h"
#include "comm/processes.h"
#include "device/timing_device.h"
#include "error.h"
#include "generation/completer.h"
#include "generation/explain_prompt.h"
#include "generation/interactive.h"
#include "generation/perplexity.h"
#include "generation/prompts.h"
#include "generation/standard_streams.h"
#include "huggingface.h"
#include "records/model_card.h"
#include "run_folder.h"
#include "tokenizer.h"
#include "util/files.h"
#include "util/json.h"
#include "util/mapped_file.h"
#include "util/number_text.h"
#include "util/parameter.h"
#include "util/print_error.h"

namespace hipgpt {

namespace fs = std::filesystem;

namespace {

std::string checkpoint_file(const GenerationRun& run) {
  if (!run.checkpoint.empty()) return run.checkpoint;
  if (run.step && run.run_name.empty())
    throw Error(fmt::format("{} needs {}: only named runs keep several checkpoints", Parameter::kStep,
                            Parameter::kRunName));
  const RunFolder folder(run.run_name);
  const std::string path = run.step ? folder.checkpoint(*run.step) : folder.latest();
  if (!file_exists(path)) {
    throw Error(fmt::format("{}: no such checkpoint; train one first (./scripts/run_train.sh)", path));
  }
  return path;
}

std::string tokenizer_file(const GenerationRun& run, const std::string& checkpoint) {
  return run.tokenizer.empty() ? tokenizer_beside(checkpoint) : run.tokenizer;
}

/// If the newest checkpoint is damaged, the message names the previous one.
Checkpoint open_checkpoint(const GenerationRun& run, const std::string& path) {
  try {
    return Checkpoint::open(path);
  } catch (const Error& error) {
    const auto checkpoints = RunFolder(run.run_name).checkpoints();
    if (!run.checkpoint.empty() || run.step || checkpoints.size() < 2) throw;
    throw Error(fmt::format("{}; the previous checkpoint: {} {}", error.what(), Parameter::kCheckpoint,
                            checkpoints[1]));
  }
}

/// A trained model and the start of messages about it.
struct FoundModel {
  StoredWeights weights;
  Tokenizer tokenizer;
  std::string description;
  std::optional<int64_t> step = {};  // of a checkpoint
};

FoundModel find_model(const GenerationRun& run) {
  const std::string path = checkpoint_file(run);
  // A name that is not that of a checkpoint may be meant as a model of the hub, which the error explains.
  if (is_folder(path) || (!file_exists(path) && !path.ends_with(".bin"))) {
    HuggingFaceModel model = HuggingFaceModel::open(path, run.tokenizer);
    return {std::move(model.weights), std::move(model.tokenizer), path + ":"};
  }
  const Checkpoint checkpoint = open_checkpoint(run, path);
  const std::string tokenizer_path = tokenizer_file(run, path);
  Tokenizer tokenizer = Tokenizer::load(tokenizer_path);
  checkpoint.check_tokenizer(tokenizer.hash(), tokenizer.vocab_size(), tokenizer_path);
  return {checkpoint.weights(), std::move(tokenizer),
          fmt::format("{}: step {},", path, checkpoint.info().step), checkpoint.info().step};
}

std::vector<int32_t> stop_tokens(const GenerationRun& run, const TokenRoles& roles,
                                 const Tokenizer& tokenizer) {
  if (run.stop_token < 0) return roles.complete(tokenizer).end;
  if (run.stop_token >= tokenizer.vocab_size()) {
    throw Error(fmt::format("{} {}: the vocabulary has tokens 0 to {}", Parameter::kStopToken, run.stop_token,
                            tokenizer.vocab_size() - 1));
  }
  return {static_cast<int32_t>(run.stop_token)};
}

void report_speed(int64_t tokens, std::chrono::steady_clock::time_point start) {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print_status(fmt::format("{} in {:.2f} s, {:.0f} tokens/s\n", counted(tokens, "token"), seconds,
                           static_cast<double>(tokens) / seconds));
}

void print_perplexity(const GenerationRun& run, const MappedFile& text, const Tokenizer& tokenizer,
                      GPTModel& model, const std::string& facts, Team& team) {
  const auto start = std::chrono::steady_clock::now();
  auto shown = start;
  const auto show = [&](const Perplexity& so_far) {
    const auto now = std::chrono::steady_clock::now();
    if (now - shown < std::chrono::milliseconds(500)) return;
    shown = now;
    show_progress(fmt::format(
        "{} tokens scored, {:.0f}% of the text, perplexity {:.6g} so far", so_far.scored,
        100.0 * static_cast<double>(so_far.scored_bytes) / static_cast<double>(text.text().size()),
        so_far.perplexity()));
  };
  const Perplexity p = measure_perplexity(model, tokenizer, text.text(), run.perplexity_file, run.stride,
                                          run.threads, show, &team);
  show_progress("");
  print_status(facts + "\n");
  if (run.json) {
    const JsonValue json = {
        {"file", run.perplexity_file},       {"tokens", p.tokens}, {"scored", p.scored},
        {"bytes", text.text().size()},       {"loss", p.loss()},   {"perplexity", p.perplexity()},
        {"bits_per_byte", p.bits_per_byte()}};
    write_out(json.dump() + "\n");
  } else {
    write_out(
        fmt::format("tokens         {}, {} scored\n"
                    "bytes          {}\n"
                    "loss           {:.6f} nats per token\n"
                    "perplexity     {:.6g}\n"
                    "bits per byte  {:.6f}\n",
                    p.tokens, p.scored, text.text().size(), p.loss(), p.perplexity(), p.bits_per_byte()));
  }
  report_speed(p.tokens, start);
}

void export_model(const GenerationRun& run, const FoundModel& model) {
  const ModelConfig& config = model.weights.config;
  CardFacts facts{.name = run.run_name,
                  .config = config,
                  .step = model.step,
                  .added_end = lacks_end_of_text(model.weights, model.tokenizer)};
  if (facts.name.empty()) facts.name = fs::path(run.export_folder).lexically_normal().filename().string();
  if (model.step) facts.history = history_beside(model.weights.path, config, *model.step);
  const ExportedFolder exported =
      export_to_huggingface(run.export_folder, model.weights, model.tokenizer, model_card(facts));
  print_status(fmt::format("{} exported to {}\n", model.description, run.export_folder));
  if (exported.added_end) {
    print_status(fmt::format("added {} as token {}: the vocabulary has none, and other programs need one\n",
                             kEndOfText, *exported.added_end));
  }
  if (!exported.wrote_card) print_status(fmt::format("kept the README.md of {}\n", run.export_folder));
}

/// Prompt i is that of process i modulo N. The leader prints all samples in the order of the prompts; `output` has
/// those of another process.
void complete_prompts(const GenerationRun& run, const std::vector<std::string>& prompts, Completer& completer,
                      Team& team, std::string& output) {
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < prompts.size(); ++i) {
    const int rank = static_cast<int>(i % static_cast<size_t>(team.size()));
    if (rank == team.rank()) completer.complete(prompts[i], 0, i > 0);
    if (rank == 0) continue;
    if (team.is_leader()) write_out(team.take_from(rank));
    if (rank == team.rank()) team.send_to_leader(std::exchange(output, {}));
  }
  if (run.interactive) run_interactive(completer, run.num_samples);
  double tokens = static_cast<double>(completer.tokens_drawn());
  team.sum({&tokens, 1});
  report_speed(static_cast<int64_t>(tokens), start);
}

/// What all processes of a run must have in common.
void agree(Processes& processes, const std::string& description, const std::vector<std::string>& prompts,
           DType dtype) {
  if (processes.size() == 1) return;
  std::string all;
  for (const std::string& prompt : prompts) all += prompt + '\0';
  processes.agree({{"program", program_hash()},
                   {"model", description},
                   {"dtype", name_of(dtype)},
                   {"number of prompts", std::to_string(prompts.size())},
                   {"length of the prompts", std::to_string(all.size())}});
}

uint64_t common_seed(const GenerationRun& run, Team& team) {
  uint64_t seed = run.seed ? *run.seed : std::random_device{}();
  if (team.is_leader()) team.tell(std::to_string(seed));
  return team.is_leader() ? seed : std::stoull(team.hear());
}

void generate(const GenerationRun& run, Processes& processes, std::string& output) {
  Team& team = processes.team();
  std::optional<MappedFile> scored_text;
  std::vector<std::string> prompts;
  const bool exports = !run.export_folder.empty(), explains = !run.explain_file.empty();
  check_explain_flags(run);
  if (processes.size() > 1 && run.perplexity_file.empty() && run.prompts_file.empty()) {
    throw Error(fmt::format("{} processes: only {} and {} can be shared among them; start one process",
                            processes.size(), Parameter::kPromptsFile, Parameter::kPerplexityFile));
  }
  if (!run.perplexity_file.empty()) {
    scored_text.emplace(run.perplexity_file, MappedFile::Access::kSequential);
    warn_unless_text(run.perplexity_file, scored_text->text());
  } else if (!run.interactive && !exports) {
    prompts = read_prompts(run);
  }
  const auto [weights, tokenizer, description, step] = find_model(run);
  if (exports) return export_model(run, {weights, tokenizer, description, step});
  if (explains) {
    const auto count = static_cast<int64_t>(tokenizer.encode(prompts[0]).size());
    check_explain_length(run, count, weights.config);
  }
  const std::vector<int32_t> stop = stop_tokens(run, weights.roles, tokenizer);

  const auto device = make_device(processes.device(run.device), processes.threads(run.threads),
                                  [](const std::string& note) { print_status(note + "\n"); });
  TimingDevice timing(*device);
  const DType dtype = choose_dtype(run.dtype, *device, weights.config);
  const auto make_model = [&, &weights = weights] {
    if (!explains) return weights.model(*device, dtype, choose_weights(run.weights, *device, dtype));
    GPTModel explained(timing, weights.config, dtype);  // receives the weights of each checkpoint in turn
    weights.load_into(explained);
    return explained;
  };
  GPTModel model = make_model();
  agree(processes, description, prompts, dtype);

  const std::string facts =
      fmt::format("{} {} parameters; {}", description, model.weights().size(), where_it_computes(model));
  if (scored_text) return print_perplexity(run, *scored_text, tokenizer, model, facts, team);
  Sampling sampling = run.sampling;
  sampling.seed = common_seed(run, team);
  print_status(fmt::format("{}; seed {}\n", facts, sampling.seed));
  if (explains) {
    const std::string name = description.substr(0, description.size() - 1);  // without its comma
    return explain_prompt(run, prompts[0], sampling, stop, {tokenizer, model, timing, name, step});
  }
  Completer completer(run, sampling, stop, tokenizer, model);
  complete_prompts(run, prompts, completer, team, output);
}

}  // namespace

int run_generation(const GenerationRun& run) {
  Processes processes([](const std::string& text) { print_error("generate", text); });
  std::string output;
  if (!processes.is_leader()) redirect_output(output);
  return processes.run([&] {
    generate(run, processes, output);
    return 0;
  });
}

}  // namespace hipgpt
