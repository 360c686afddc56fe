#include "cli/train_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "cli/command_line.h"
#include "error.h"
#include "records/metrics_file.h"
#include "run_folder.h"
#include "training/saved_training.h"
#include "util/name_errors.h"
#include "util/print_error.h"
#include "util/run_flags_text.h"

namespace hipgpt {

namespace {

constexpr double kMany = 1e9;  // an upper bound for counts of steps

/// Flags that say where a new run's model and tokenizer come from. Later both come from its checkpoint.
constexpr const char* kInitFrom = "init-from";
constexpr const char* kWarmup = "warmup-steps";
constexpr const char* kOfTheBeginning[] = {kInitFrom, "tokenizer", "vocab-size"};

void declare_model(CommandLine& line, ModelChoices& model) {
  line.group("Model");
  line.option("--preset", model.preset, "Sizes to start from: default, or gpt2 for 124M (default)")
      .one_of({"default", "gpt2"});
  line.number("--dim", model.dim, 1, 65536, "E, embedding dimension (128)");
  line.number("--heads", model.heads, 1, 4096, "H, attention heads; divides E (4)");
  line.number("--layers", model.layers, 1, 1024, "L, transformer layers (2)");
  line.number("--ff", model.ff, 1, 1 << 20, "F, feed-forward hidden dimension (256)");
  line.number("--seq", model.seq, 1, 1 << 20, "S, context length in tokens (32)");
  line.option("--activation", model.activation, "relu, gelu or gelu_erf (relu)")
      .one_of({"relu", "gelu", "gelu_erf"});
  line.true_or_false("--final-layernorm", model.final_layernorm, "true: a LayerNorm before the head (false)");
  line.true_or_false("--tied-head", model.tied_head,
                     "true: the head shares the token embedding's weights (false)");
  line.true_or_false("--head-bias", model.head_bias, "false: no bias in the head (true)");
}

void declare_data(CommandLine& line, TrainingRun& run) {
  line.group("Data");
  line.name("--data-path", run.data_paths, "Texts to train on: files, folders or patterns")
      .show_default(run.data_paths.front());
  line.name("--val-data-path", run.val_data_paths, "Texts for validation, instead of --val-fraction");
  line.option("--tokens", run.tokens, "The data are little-endian ids of this type without a header")
      .one_of({"u16", "u32"});
  line.name("--tokenizer", run.tokenizer,
            "Use this tokenizer.json or .tiktoken file, or the tokenizer in this folder");
  line.number("--vocab-size", run.vocab_size, 256, 1 << 24, "V, tokens to learn (5000)");
  line.number("--val-fraction", run.val_fraction, 0.0, 0.9, "Last part of the data, kept for validation")
      .show_default();
}

/// Learning rates from the command line. If absent, they depend on other flags.
struct GivenRates {
  std::optional<float> lr, min_lr;
};

void declare_training(CommandLine& line, TrainerOptions& t, GivenRates& rates) {
  line.group("Training");
  line.number("--steps", t.steps, 1, kMany, "Total optimizer steps").show_default();
  line.number("--batch", t.batch, 1, 1 << 20, "B, sequences per batch").show_default();
  line.number("--grad-accum", t.grad_accum, 1, 1 << 20, "Batches per step").show_default();
  line.number("--lr", rates.lr, 1e-12, 1e3,
              "Highest learning rate (0.003; 0.0006 for gpt2; 0.00005 with --init-from)");
  line.number("--min-lr", rates.min_lr, 0.0, 1e3, "Learning rate at the end (a tenth of --lr)");
  line.number("--warmup-steps", t.warmup_steps, 0, kMany, "Steps of linear warm-up").show_default();
  line.number("--beta1", t.beta1, 0.0, 0.999999, "AdamW's first decay").show_default();
  line.number("--beta2", t.beta2, 0.0, 0.999999, "AdamW's second decay").show_default();
  line.number("--weight-decay", t.weight_decay, 0.0, 100.0, "Decoupled weight decay of matrices")
      .show_default();
  line.number("--grad-clip", t.grad_clip, 0.0, 1e9, "Largest norm of the gradient; 0: no limit")
      .show_default();
  line.number("--dropout", t.dropout, 0.0, 0.95, "Probability of zeroing an activation").show_default();
  line.flag("--recompute", t.recompute, "Save memory: compute activations again in the backward pass");
  line.flag("--shard-optimizer", t.shard_optimizer, "Save memory: divide AdamW's moments among processes");
  line.number("--seed", t.seed, 0, 9007199254740992.0, "Seed for weights, batches and dropout")
      .show_default();
}

void declare_records(CommandLine& line, TrainingRun& run) {
  line.group("Run");
  line.number("--log-every", run.log_every, 1, kMany, "Steps between lines of metrics.jsonl").show_default();
  line.number("--eval-every", run.eval_every, 0, kMany, "Steps between validations; 0: only at the end")
      .show_default();
  line.number("--eval-batches", run.eval_batches, 0, kMany, "Batches of 32 sequences per validation; 0: all")
      .show_default();
  line.number("--ckpt-every", run.checkpoint_every, 0, kMany,
              "Steps between checkpoints; 0: only at the end (every 10 minutes)");
  line.number("--keep-last", run.keep_last, 1, kMany, "Checkpoints that a named run keeps").show_default();
  line.flag("--keep-best", run.keep_best, "Keep the checkpoint of the lowest validation loss too");
  line.number("--patience", run.patience, 0, kMany,
              "Validations without improvement until it stops; 0: never")
      .show_default();
  line.number("--sample-every", run.sample_every, 0, kMany, "Steps between text samples; 0: none")
      .show_default();
  line.name("--sample-prompt", run.sample_prompt, "Prompt of the samples (the beginning of the text)");
  line.number("--sample-tokens", run.sample_tokens, 1, kMany, "Tokens per sample").show_default();
  line.device(run.device, run.dtype);
}

/// Settings define a run. They are saved with it and apply again when it is resumed.
void declare_settings(CommandLine& line, TrainingRun& run, GivenRates& rates) {
  declare_data(line, run);
  declare_model(line, run.model);
  declare_training(line, run.training, rates);
  declare_records(line, run);
}

/// The settings alone, for looking up flags and reading those that a run saved.
struct SettingsLine : CommandLine {
  SettingsLine(TrainingRun& run, GivenRates& rates) { declare_settings(*this, run, rates); }
};

/// How a run starts and where it writes. The user gives these flags each time; they are never saved.
void declare_start(CommandLine& line, TrainingRun& run) {
  line.flag("--resume", run.resume, "Continue exactly from the newest checkpoint, if there is one");
  line.name("--ckpt", run.checkpoint, "Continue from this checkpoint").excludes("--resume");
  line.flag("--reset", run.reset, "Retrain the tokenizer and encode the text again");
  line.name("--init-from", run.init_from, "Start from the model and tokenizer of a Hugging Face folder")
      .excludes("--ckpt")
      .excludes("--reset");
  line.name("--run-name", run.run_name, "Keep everything in checkpoints/NAME/ (else in the working folder)");
  line.name("--tensorboard", run.tensorboard, "Write TensorBoard's event files into this folder");
  line.number("--profile", run.profile_steps, 1, kMany, "Time every operation of N steps and print a table");
  line.machine(run.threads, run.gpus);
}

/// The default for gpt2 is GPT-3's rate at GPT-2's size (Brown et al., 2020, table 2.1). Small models
/// tolerate a higher rate; a pretrained model needs a lower one, so it gets the default of Hugging Face's
/// Trainer.
float default_learning_rate(const TrainingRun& run) {
  if (!run.init_from.empty()) return 5e-5f;
  return run.model.preset == "gpt2" ? 6e-4f : TrainerOptions{}.learning_rate;
}

/// The arguments as the user would type them: an argument that a shell would change is quoted.
std::string shell_command(int argc, char** argv) {
  std::string command;
  for (int i = 0; i < argc; ++i) {
    const std::string argument = argv[i];
    if (i > 0) command += ' ';
    const auto harmless = [](unsigned char c) { return std::isalnum(c) || std::strchr("-_./=:,+%@", c); };
    if (!argument.empty() && std::all_of(argument.begin(), argument.end(), harmless)) {
      command += argument;
      continue;
    }
    command += '\'';
    for (const char c : argument) command += c == '\'' ? "'\\''" : std::string(1, c);
    command += '\'';
  }
  return command;
}

/// The flags of the run that `run` continues.
SavedFlags flags_before(const TrainingRun& run) {
  if (!run.checkpoint.empty()) return saved_flags({run.checkpoint});
  if (!run.resume) return {};
  const RunFolder folder(run.run_name);
  SavedFlags saved = saved_flags(folder.checkpoints());
  if (!saved.flags.empty()) return saved;
  // A run that ended before its first checkpoint has recorded its first flags in metrics.jsonl.
  return {folder.metrics(), read_history(folder.metrics()).flags()};
}

/// Throws Error if the run started from --init-from and has no checkpoint. That path is not taken from a
/// file.
void check_that_the_start_is_known(const RunFlags& left, const TrainingRun& run) {
  const auto from = left.find(kInitFrom);
  if (from == left.end() || !run.resume || !run.init_from.empty()) return;
  throw Error(
      fmt::format("--resume: this run started with {} and has no checkpoint yet; give that flag again",
                  to_text({*from})));
}

/// Short runs with the default warm-up are common, but a warm-up that the user chose should end within the
/// run.
void warn_about_warmup(const TrainingRun& run, bool is_given) {
  const TrainerOptions& t = run.training;
  if (!is_given || t.warmup_steps <= t.steps) return;
  print_error("train_gpt",
              fmt::format("--warmup-steps {} is above --steps {}: the learning rate rises only to {:.3g} "
                          "of {:.3g}; give fewer warm-up steps",
                          t.warmup_steps, t.steps,
                          t.learning_rate * static_cast<float>(t.steps) / static_cast<float>(t.warmup_steps),
                          t.learning_rate));
}

}  // namespace

SavedSettings read_saved_settings(const RunFlags& flags, const std::string& source) {
  TrainingRun run;
  GivenRates rates;
  SettingsLine line(run, rates);
  SavedSettings saved;
  for (const auto& flag : flags) {
    (line.declares(flag.first) && !flag.second.empty() ? saved.taken : saved.left).insert(flag);
  }
  return name_errors(source + ", among its saved flags", [&] {
    line.read(saved.taken);
    return saved;
  });
}

bool parse_train_options(int argc, char** argv, TrainingRun& run, int& exit_status) {
  CommandLine line(
      "train_gpt",
      "Trains a tokenizer and a GPT on a text, and writes tokenizer.json and gpt_checkpoint.bin.");
  GivenRates rates;
  declare_settings(line, run, rates);
  declare_start(line, run);
  if (!line.parse(argc, argv, exit_status)) return false;
  run.command = shell_command(argc, argv);

  // What the user gives now wins over what the continued run saved.
  const SavedFlags before = flags_before(run);
  SavedSettings saved = read_saved_settings(before.flags, before.path);
  check_that_the_start_is_known(saved.left, run);
  RunFlags flags = line.given();
  std::erase_if(saved.taken, [&](const auto& flag) { return flags.contains(flag.first); });
  SettingsLine settings(run, rates);
  settings.read(saved.taken);
  run.training.learning_rate = rates.lr.value_or(default_learning_rate(run));
  run.training.min_learning_rate = rates.min_lr.value_or(0.1f * run.training.learning_rate);

  warn_about_warmup(run, flags.contains(kWarmup) || saved.taken.contains(kWarmup));

  std::erase_if(flags,
                [&](const auto& flag) { return !settings.declares(flag.first) && flag.first != kInitFrom; });
  flags.insert(saved.taken.begin(), saved.taken.end());
  // A resumed run does not start from the --init-from model again, but keeps the learning rate that came with
  // it.
  if (!run.init_from.empty() && !rates.lr) flags["lr"] = {fmt::format("{}", run.training.learning_rate)};
  run.first_flags = flags;
  for (const char* name : kOfTheBeginning) flags.erase(name);
  run.flags = std::move(flags);
  run.saved_flags = before.flags;
  if (!saved.taken.empty()) run.notes.push_back("flags      as before: " + to_text(saved.taken));
  if (!saved.left.empty()) {
    run.notes.push_back(fmt::format("flags      not taken from {}: {}", before.path, to_text(saved.left)));
  }
  return true;
}

}  // namespace hipgpt
