#include "run_training.h"

#include <fmt/format.h>

#include <memory>
#include <optional>

#include "error.h"
#include "run_folder.h"
#include "training/prepare_data.h"
#include "training/progress_line.h"
#include "training/saved_training.h"
#include "training/training_loop.h"

namespace hipgpt {

namespace {

void check_flags(const TrainingRun& run) {
  run.model.validate();
  if (run.training.min_learning_rate > run.training.learning_rate) {
    throw Error(fmt::format("--min-lr {} is above --lr {}", run.training.min_learning_rate,
                            run.training.learning_rate));
  }
  if (run.reset && (run.resume || !run.checkpoint.empty())) {
    throw Error(
        fmt::format("--reset makes a new tokenizer, which the checkpoint of {} does not know: leave one away",
                    run.resume ? "--resume" : "--ckpt"));
  }
}

/// The model to train: a new one, or the one of the checkpoint to continue from.
std::unique_ptr<GPTModel> make_model(const TrainingRun& run, const std::optional<SavedTraining>& saved,
                                     int vocab_size, Device& device) {
  ModelConfig config = run.model;
  config.vocab_size = vocab_size;
  if (saved) {
    if (run.model_given && !(config == saved->checkpoint.info().config)) {
      throw Error(saved->checkpoint.path() +
                  ": has other sizes than the flags ask for; leave --dim, --layers and the like away");
    }
    config = saved->checkpoint.info().config;
  }
  auto model = std::make_unique<GPTModel>(device, config);
  if (saved) {
    saved->checkpoint.load_into(*model);
  } else {
    initialize(model->weights(), config, device, run.training.seed);
  }
  return model;
}

std::string describe(const GPTModel& model) {
  const ModelConfig& c = model.config();
  const auto by_formula = c.parameter_count(), counted = model.layout().num_elements;
  if (by_formula != counted) {
    throw Error(fmt::format("internal error: {} parameters by the formula, {} counted", by_formula, counted));
  }
  return fmt::format(
      "model      {} parameters (by the formula, and counted): V={} S={} E={} H={} L={} F={} {}",
      grouped(counted), c.vocab_size, c.max_seq_len, c.embed_dim, c.num_heads, c.num_layers, c.ff_hidden_dim,
      to_string(c.activation));
}

/// That the saved run, its text and this one can be one run.
void check_continuation(const TrainingRun& run, const SavedTraining& saved, PreparedData& data,
                        ProgressLine& progress) {
  if (!saved.optimizer) {
    progress.print(fmt::format("continues from the weights of {}, with a new optimizer (there is no {})",
                               saved.checkpoint.path(), optimizer_path(saved.checkpoint.path())));
    return;
  }
  const OptimizerInfo& info = saved.optimizer->info();
  if (info.step > run.training.steps || (info.step == run.training.steps && !run.resume)) {
    throw Error(fmt::format("{} has {} steps behind it already: --steps must be larger",
                            saved.checkpoint.path(), info.step));
  }
  const bool same_text = info.data_hash == data.data_hash();
  if (run.resume && !same_text) {
    throw Error(
        fmt::format("--resume: {} was trained on another text than {}: --ckpt {} goes on with a new text",
                    saved.checkpoint.path(), data.data_name(), saved.checkpoint.path()));
  }
  progress.print(fmt::format("continues from {} after step {}{}", saved.checkpoint.path(), info.step,
                             same_text ? "" : ", on another text"));
}

/// False if something newer was skipped, which must then not take the place of what was not.
bool is_newest(const SavedTraining& saved, const RunFolder& folder) {
  return saved.checkpoint.path() == folder.latest() &&
         saved.optimizer->path() == optimizer_path(folder.latest());
}

std::optional<SavedTraining> find_saved(const TrainingRun& run, const RunFolder& folder,
                                        ProgressLine& progress) {
  if (!run.checkpoint.empty()) return open_saved_training(run.checkpoint);
  if (!run.resume) return std::nullopt;
  auto saved = newest_saved_training(folder, [&](const std::string& why) {
    progress.warn(fmt::format("train_gpt: {}; an earlier checkpoint is looked for", why));
  });
  if (!saved) progress.print("resume     there is no checkpoint yet: starts from the beginning");
  return saved;
}

}  // namespace

int run_training(const TrainingRun& run) {
  ProgressLine progress;
  check_flags(run);
  RunFolder folder(run.run_name);
  folder.lock();
  const auto device = make_device(run.device, run.threads);
  const std::optional<SavedTraining> saved = find_saved(run, folder, progress);

  // All that can be wrong is found before anything is written.
  PreparedData data(run, saved, folder, progress);
  const auto model = make_model(run, saved, data.tokenizer().vocab_size(), *device);
  if (saved) check_continuation(run, *saved, data, progress);
  folder.create();
  const TrainingTokens tokens = data.tokens(model->config().max_seq_len);
  progress.print(describe(*model));
  progress.print("device     " + device->description());
  if (!run.inherited_flags.empty()) progress.print("flags      as before: " + run.inherited_flags);

  TrainingLoop loop(run, folder, *model, tokens,
                    {.keep_last = run.keep_last,
                     .keep_previous = !run.resume || !saved || is_newest(*saved, folder),
                     .tokenizer_json = data.unsaved_tokenizer(),
                     .tokenizer_hash = data.tokenizer().hash(),
                     .data_hash = data.data_hash(),
                     .flags = run.flags},
                    progress);
  if (saved && saved->optimizer) loop.resume(*saved->optimizer);
  if (loop.step() == run.training.steps) {
    progress.print(fmt::format("done       all {} steps were done before", grouped(loop.step())));
    return 0;
  }
  return loop.run();
}

}  // namespace hipgpt
