#include "run_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "comm/processes.h"
#include "device/timing_device.h"
#include "error.h"
#include "huggingface.h"
#include "records/progress_line.h"
#include "run_folder.h"
#include "training/follower.h"
#include "training/prepare_data.h"
#include "training/saved_training.h"
#include "training/stop_signal.h"
#include "training/training_loop.h"
#include "util/files.h"
#include "util/number_text.h"
#include "util/parameter.h"
#include "util/print_error.h"

namespace hipgpt {

namespace {

/// The first step of a run is not timed, because it is the slowest.
void check_profile(const TrainingRun& run, int64_t steps_done) {
  const int64_t left = run.training.steps - steps_done;
  if (run.profile_steps == 0 || left > run.profile_steps) return;
  throw Error(fmt::format("{} {}: the run has {} left, and the first one is not timed; give a larger {}",
                          Parameter::kProfileSteps, run.profile_steps,
                          counted(static_cast<uint64_t>(left), "step"), Parameter::kSteps));
}

void check_flags(const TrainingRun& run) {
  check_profile(run, 0);
  if (run.training.min_learning_rate > run.training.learning_rate) {
    throw Error(fmt::format("{} {} must not exceed {} {}", Parameter::kMinLearningRate,
                            run.training.min_learning_rate, Parameter::kLearningRate,
                            run.training.learning_rate));
  }
  if (run.reset && (run.resume || !run.checkpoint.empty())) {
    throw Error(
        fmt::format("{} trains a new tokenizer, which does not fit the checkpoint of {}: drop one of the two",
                    Parameter::kReset, run.resume ? Parameter::kResume : Parameter::kCheckpoint));
  }
}

/// The model and the tokenizer that a run starts from, if it does not create new ones.
struct Start {
  StoredWeights weights;
  PreparedData::GivenTokenizer tokenizer;
};

/// A shorter context is that of the first positions: no other weight depends on S.
void take_first_positions(ModelConfig& config, const ModelChoices& choices) {
  config.max_seq_len = std::min(config.max_seq_len, choices.over(config).max_seq_len);
}

std::optional<Start> find_start(const TrainingRun& run, const std::optional<SavedTraining>& saved) {
  if (saved) {
    if (!run.tokenizer.empty()) {
      const Tokenizer named = Tokenizer::load(run.tokenizer);
      saved->checkpoint.check_tokenizer(named.hash(), named.vocab_size(), run.tokenizer);
    }
    return Start{saved->checkpoint.weights(), {saved->tokenizer, saved->tokenizer_path}};
  }
  if (run.init_from.empty()) {
    run.model.over(ModelConfig{}).validate();  // before training a tokenizer
    return std::nullopt;
  }
  HuggingFaceModel model = HuggingFaceModel::open(run.init_from, run.tokenizer);
  take_first_positions(model.weights.config, run.model);
  return Start{std::move(model.weights),
               {std::move(model.tokenizer), run.tokenizer.empty() ? run.init_from : run.tokenizer}};
}

std::optional<PreparedData::GivenTokenizer> given_tokenizer(const TrainingRun& run,
                                                            const std::optional<Start>& start) {
  if (start) return start->tokenizer;
  if (run.tokenizer.empty()) return std::nullopt;
  return PreparedData::GivenTokenizer{Tokenizer::load(run.tokenizer), run.tokenizer};
}

std::unique_ptr<GPTModel> make_model(const TrainingRun& run, const std::optional<Start>& start,
                                     int vocab_size, Device& device) {
  if (!start) {
    ModelConfig config = run.model.over(ModelConfig{});
    config.vocab_size = vocab_size;
    auto model = std::make_unique<GPTModel>(device, config, choose_dtype(run.dtype, device, config));
    initialize(*model, run.training.seed);
    return model;
  }
  const StoredWeights& weights = start->weights;
  ModelConfig asked = run.model.over(weights.config);
  const int asked_seq_len = std::exchange(asked.max_seq_len, weights.config.max_seq_len);
  if (!(asked == weights.config)) {
    throw Error(
        fmt::format("{}: its sizes differ from those that the flags set; drop {}, {} and similar flags",
                    weights.path, Parameter::kEmbedDim, Parameter::kNumLayers));
  }
  if (asked_seq_len != weights.config.max_seq_len) {
    throw Error(fmt::format("{} {}: {} has {} positions; drop the flag{}", Parameter::kMaxSeqLen,
                            asked_seq_len, weights.path, weights.config.max_seq_len,
                            run.init_from.empty() ? "" : " or name a smaller number"));
  }
  auto model =
      std::make_unique<GPTModel>(device, weights.config, choose_dtype(run.dtype, device, weights.config));
  weights.load_into(*model);
  return model;
}

std::string describe(const GPTModel& model) {
  const ModelConfig& c = model.config();
  const auto by_formula = c.parameter_count(), counted = model.weights().size();
  if (by_formula != counted) {
    throw Error(fmt::format("internal error: {} parameters by the formula, {} counted", by_formula, counted));
  }
  return fmt::format(
      "model      {} parameters (by the formula, and counted): V={} S={} E={} H={} L={} F={} {}",
      grouped(counted), c.vocab_size, c.max_seq_len, c.embed_dim, c.num_heads, c.num_layers, c.ff_hidden_dim,
      to_string(c.activation));
}

/// The memory of a run, which is allocated at its start. Throws Error if the device has less.
std::string describe_memory(const GPTModel& model, const TrainerOptions& options,
                            const Communicator& communicator) {
  const auto [state, activations] = Trainer::bytes(model, options, communicator);
  const size_t weights = model.weights().flat().bytes() + model.rounded_matrices().bytes();
  const Device::Memory memory = model.device().memory();
  const std::string needed = fmt::format("{}: {} for weights, {} for gradients and AdamW, {} for activations",
                                         memory_text(weights + state + activations), memory_text(weights),
                                         memory_text(state), memory_text(activations));
  if (memory.free == 0) return needed;
  if (state + activations <= memory.free)
    return needed + fmt::format("; {} are free", memory_text(memory.free));
  TrainerOptions with_recompute = options;
  with_recompute.recompute = true;
  std::string remedy = fmt::format("make {} smaller", Parameter::kBatch);
  if (!options.recompute) {
    const size_t least = Trainer::bytes(model, with_recompute, communicator).activations;
    remedy += fmt::format(", or give {}, with which activations take {}", Parameter::kRecompute,
                          memory_text(least));
  }
  throw Error(fmt::format("the run needs {}, but {} of {} are free: {}", needed, memory_text(memory.free),
                          memory_text(memory.total), remedy));
}

/// An older version drew other sequences for the micro-batches of a step, and other tokens for a validation
/// with a batch of another size than the default.
void check_batches(const TrainingRun& run, const SavedTraining& saved, Progress& progress) {
  if (saved.optimizer->info().one_batch_per_step) return;
  const std::string& path = saved.checkpoint.path();
  if (run.training.grad_accum > 1 && run.resume) {
    throw Error(
        fmt::format("{0}: {1} is from an older version, which drew other sequences for several batches per "
                    "step: {2} {1} continues with those of this version",
                    Parameter::kResume, path, Parameter::kCheckpoint));
  }
  if (run.training.grad_accum > 1) {
    progress.warn(path +
                  ": is from an older version, which drew other sequences for several batches per step");
  }
  if (run.training.batch != static_cast<int>(kEvalBatch) && run.eval_batches > 0) {
    progress.warn(path + ": is from an older version, whose validation losses are of other tokens");
  }
}

/// Checks that the saved run and this run can be one run on the same text.
void check_continuation(const TrainingRun& run, const SavedTraining& saved, PreparedData& data,
                        Progress& progress) {
  if (!saved.optimizer) {
    progress.print(fmt::format("continues from the weights of {}, with a new optimizer (there is no {})",
                               saved.checkpoint.path(), optimizer_path(saved.checkpoint.path())));
    return;
  }
  const OptimizerInfo& info = saved.optimizer->info();
  if (run.resume && !run.saved_flags.empty() && run.saved_flags != info.flags) {
    throw Error(fmt::format(
        "{0}: {1} is intact but from another run than the newest checkpoint; {2} {1} continues that run",
        Parameter::kResume, saved.checkpoint.path(), Parameter::kCheckpoint));
  }
  if (info.step > run.training.steps || (info.step == run.training.steps && !run.resume)) {
    throw Error(fmt::format("{} has already trained {}: {} must be larger", saved.checkpoint.path(),
                            counted(info.step, "step"), Parameter::kSteps));
  }
  check_batches(run, saved, progress);
  const bool same_text = info.data_hash == data.data_hash();
  if (run.resume && !same_text) {
    throw Error(
        fmt::format("{0}: {1} was trained on another text than {2}, or on another part of it: "
                    "{3} {1} continues with a new text",
                    Parameter::kResume, saved.checkpoint.path(), data.data_name(), Parameter::kCheckpoint));
  }
  progress.print(fmt::format("continues from {} after step {}{}", saved.checkpoint.path(), info.step,
                             same_text ? "" : ", on another text"));
}

/// Returns false if a newer checkpoint was skipped. The skipped one must then not become the previous
/// checkpoint.
bool is_newest(const SavedTraining& saved, const RunFolder& folder) {
  return saved.checkpoint.path() == folder.latest() &&
         saved.optimizer->path() == optimizer_path(folder.latest());
}

std::optional<SavedTraining> find_saved(const TrainingRun& run, const RunFolder& folder, Progress& progress) {
  if (is_folder(run.checkpoint)) {
    throw Error(fmt::format("{} {}: is a folder; {} starts from a Hugging Face model", Parameter::kCheckpoint,
                            run.checkpoint, Parameter::kInitFrom));
  }
  if (!run.checkpoint.empty()) return open_saved_training(run.checkpoint);
  if (!run.resume) return std::nullopt;
  auto saved = newest_saved_training(folder, [&](const std::string& why) {
    progress.warn(fmt::format("{}; looking for an earlier checkpoint", why));
  });
  if (!saved) progress.print("resume     there is no checkpoint yet: starting from the beginning");
  return saved;
}

/// The run of the only process, or of the leader of several.
int lead(const TrainingRun& run, Processes& processes, ProgressLine& progress) {
  // Printed before any file that they name is read.
  for (const std::string& note : run.notes) progress.print(note);
  check_flags(run);
  agree_on_flags(processes, run);
  RunFolder folder(run.run_name);
  folder.lock();
  const auto device = make_device(processes.device(run.device), processes.threads(run.threads),
                                  [&](const std::string& note) { progress.warn(note); });
  std::optional<TimingDevice> timing;
  if (run.profile_steps > 0) timing.emplace(*device);
  const std::optional<SavedTraining> saved = find_saved(run, folder, progress);

  // Everything is checked before anything is written.
  const std::optional<Start> start = find_start(run, saved);
  PreparedData data(run, given_tokenizer(run, start), folder, progress);
  const auto model = make_model(run, start, data.tokenizer().vocab_size(), timing ? *timing : *device);
  if (saved) check_continuation(run, *saved, data, progress);
  folder.create();
  const TrainingTokens tokens = data.tokens(model->config().max_seq_len);
  progress.print(describe(*model));
  progress.print("device     " + where_it_computes(*model));
  tell_start(processes.team(), model->config(), tokens);
  agree_on_model(processes, *model, tokens);
  Communicator& communicator = processes.connect(model->device());
  if (processes.size() > 1) progress.print("processes  " + communicator.description());
  progress.print("memory     " + describe_memory(*model, run.training, communicator));

  TrainingLoop loop(run, folder, *model, data.tokenizer(), tokens,
                    {.keep_last = run.keep_last,
                     .keep_best = run.keep_best,
                     .keep_previous = !run.resume || !saved || is_newest(*saved, folder),
                     .tokenizer_json = data.unsaved_tokenizer(),
                     .tokenizer_hash = data.tokenizer().hash(),
                     .data_hash = data.data_hash(),
                     .flags = run.flags,
                     .roles = start ? start->weights.roles : TokenRoles(),
                     .tokenizer_settings = start ? start->weights.tokenizer_settings : std::string()},
                    progress, timing ? &*timing : nullptr, processes.team(), communicator);
  loop.start(saved && saved->optimizer ? &*saved->optimizer : nullptr);
  if (loop.step() == run.training.steps) {
    progress.print(fmt::format("done       the run is complete: {}", counted(loop.step(), "step")));
    return 0;
  }
  check_profile(run, loop.step());
  return loop.run();
}

}  // namespace

int run_training(const TrainingRun& run) {
  const SaveSignal save_signal;
  const auto warn = [](const std::string& text) { print_error("train_gpt", text); };
  Processes processes(warn);
  // MPI's launchers give each process a terminal of its own, which ends in their output.
  ProgressLine progress(processes.size() == 1);
  return processes.run([&] {
    if (!processes.is_leader()) return follow(run, processes, warn);
    const int status = lead(run, processes, progress);
    tell_end(processes.team(), status);
    return status;
  });
}

}  // namespace hipgpt
