#include "run_training.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>

#include "error.h"
#include "run_folder.h"
#include "training/metrics_file.h"
#include "training/prepare_data.h"
#include "training/progress_line.h"
#include "util/atomic_file.h"

namespace hipgpt {

namespace {

using Clock = std::chrono::steady_clock;

void check_flags(const TrainingRun& run) {
  run.model.validate();
  if (run.training.min_learning_rate > run.training.learning_rate) {
    throw Error(fmt::format("--min-lr {} is above --lr {}", run.training.min_learning_rate,
                            run.training.learning_rate));
  }
  if (run.reset && !run.checkpoint.empty()) {
    throw Error(
        "--reset makes a new tokenizer, which the checkpoint of --ckpt does not know: leave one away");
  }
}

/// The model to train: a new one, or the one of the checkpoint to continue from.
std::unique_ptr<GPTModel> make_model(const TrainingRun& run, const std::optional<Checkpoint>& checkpoint,
                                     int vocab_size, Device& device) {
  ModelConfig config = run.model;
  config.vocab_size = vocab_size;
  if (checkpoint) {
    if (run.model_given && !(config == checkpoint->info().config)) {
      throw Error(checkpoint->path() +
                  ": has other sizes than the flags ask for; leave --dim, --layers and the like away");
    }
    config = checkpoint->info().config;
  }
  auto model = std::make_unique<GPTModel>(device, config);
  if (checkpoint) {
    checkpoint->load_into(*model);
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

nlohmann::ordered_json run_record(const TrainingRun& run, const GPTModel& model, const Device& device) {
  const ModelConfig& c = model.config();
  const TrainerOptions& t = run.training;
  return {{"run",
           {{"version", HIPGPT_VERSION},
            {"device", device.description()},
            {"data", run.data_path},
            {"parameters", model.layout().num_elements},
            {"vocab_size", c.vocab_size},
            {"seq", c.max_seq_len},
            {"dim", c.embed_dim},
            {"heads", c.num_heads},
            {"layers", c.num_layers},
            {"ff", c.ff_hidden_dim},
            {"activation", to_string(c.activation)},
            {"batch", t.batch},
            {"grad_accum", t.grad_accum},
            {"steps", t.steps},
            {"lr", t.learning_rate},
            {"min_lr", t.min_learning_rate},
            {"warmup_steps", t.warmup_steps},
            {"beta1", t.beta1},
            {"beta2", t.beta2},
            {"weight_decay", t.weight_decay},
            {"grad_clip", t.grad_clip},
            {"dropout", t.dropout},
            {"seed", t.seed}}}};
}

/// The loop over steps: trains, evaluates, saves and reports.
class TrainingLoop {
 public:
  TrainingLoop(const TrainingRun& run, const RunFolder& folder, GPTModel& model, PreparedData& data,
               const TokenFile& tokens, ProgressLine& progress)
      : run_(run),
        folder_(folder),
        model_(model),
        data_(data),
        progress_(progress),
        split_(split_tokens(tokens.size(), run.val_fraction, model.config().max_seq_len)),
        train_data_(tokens, split_.train_begin, split_.train_end, run.training.batch,
                    model.config().max_seq_len, run.training.seed),
        trainer_(model, train_data_, run.training) {
    if (run.val_fraction > 0.0) {
      val_data_.emplace(tokens, split_.val_begin, split_.val_end, run.training.batch,
                        model.config().max_seq_len, run.training.seed);
    }
  }

  /// Takes over moments and step from the file beside the checkpoint, if there is one.
  void resume(const std::string& checkpoint, int64_t checkpoint_step) {
    const std::string path = optimizer_path(checkpoint);
    if (!std::filesystem::exists(path)) {
      progress_.print(fmt::format("continues from the weights of {}, with a new optimizer (there is no {})",
                                  checkpoint, path));
      return;
    }
    load_optimizer(path, trainer_.optimizer(), model_.device());
    if (trainer_.step() != checkpoint_step) {
      throw Error(fmt::format("{} is of step {} and {} of step {}: they do not belong together", path,
                              trainer_.step(), checkpoint, checkpoint_step));
    }
    if (trainer_.step() >= run_.training.steps) {
      throw Error(fmt::format("{} has {} steps behind it already: --steps must be larger", checkpoint,
                              trainer_.step()));
    }
    progress_.print(fmt::format("continues from {} after step {}", checkpoint, trainer_.step()));
  }

  void run() {
    check_that_checkpoints_can_be_written();
    MetricsFile metrics(folder_.metrics(), trainer_.step() > 0);
    metrics.write(run_record(run_, model_, model_.device()));
    start_ = last_report_ = Clock::now();
    first_step_ = reported_step_ = trainer_.step();
    while (trainer_.step() < run_.training.steps) {
      unless_not_finite([&] { trainer_.train_step(); });
      const int64_t n = trainer_.step();
      const bool last = n == run_.training.steps;
      const bool logged = last || n == first_step_ + 1 || n % run_.log_every == 0;
      const bool evaluated = val_data_ && (last || (run_.eval_every > 0 && n % run_.eval_every == 0));
      const bool saved = last || (run_.checkpoint_every > 0 && n % run_.checkpoint_every == 0);
      // A GPU is not waited for unless somebody wants to know.
      if (!logged && !evaluated && !saved && !progress_.due()) continue;
      StepResult result{};
      unless_not_finite([&] { result = trainer_.last_step(); });
      if (logged) log(metrics, n, result);
      if (evaluated) validate(metrics, n);
      if (evaluated || (logged && !progress_.is_terminal())) progress_.print(line(n, result, evaluated));
      progress_.show(line(n, result, val_loss_.has_value()));
      if (saved) save();
    }
    summary();
  }

 private:
  /// A mistake that a long run should not end with.
  void check_that_checkpoints_can_be_written() const {
    const std::string path = folder_.checkpoint(run_.training.steps);
    for (const std::string& file : {path, optimizer_path(path), folder_.tokenizer()}) AtomicFile probe(file);
  }

  template <typename F>
  void unless_not_finite(const F& f) const {
    try {
      f();
    } catch (const Trainer::NotFinite& failure) {
      stop(failure.step, fmt::format("the loss is {} and the norm of its gradient {}", number(failure.loss),
                                     number(failure.grad_norm)));
    }
  }

  [[noreturn]] void stop(int64_t step, const std::string& why) const {
    throw Error(fmt::format("step {}: {}; stopped. {} Try a smaller --lr", step, why,
                            saved_step_ ? fmt::format("The checkpoint of step {} is kept.", *saved_step_)
                                        : "No checkpoint was written or changed."));
  }

  /// Of a number that is not one: "nan" without the sign that it may have.
  static std::string number(double x) { return std::isnan(x) ? "nan" : fmt::format("{:g}", x); }

  void log(MetricsFile& metrics, int64_t n, const StepResult& result) {
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - last_report_ - paused_).count();
    speed_ = static_cast<double>((n - reported_step_) * tokens_per_step()) / std::max(seconds, 1e-9);
    last_report_ = now;
    reported_step_ = n;
    paused_ = {};
    metrics.write({{"step", n},
                   {"loss", result.loss},
                   {"lr", result.learning_rate},
                   {"grad_norm", result.grad_norm},
                   {"tokens_per_s", speed_},
                   {"elapsed_s", elapsed()}});
  }

  void validate(MetricsFile& metrics, int64_t n) {
    const auto before = Clock::now();
    val_loss_ = evaluate(model_, *val_data_, run_.training.batch, model_.config().max_seq_len,
                         static_cast<size_t>(run_.eval_batches));
    paused_ += Clock::now() - before;
    if (!std::isfinite(*val_loss_)) stop(n, "the validation loss is " + number(*val_loss_));
    if (!best_val_loss_ || *val_loss_ < *best_val_loss_) best_val_loss_ = val_loss_;
    metrics.write({{"step", n}, {"val_loss", *val_loss_}, {"elapsed_s", elapsed()}});
  }

  void save() {
    const auto before = Clock::now();
    const int64_t n = trainer_.step();
    const std::string path = folder_.checkpoint(n);
    data_.save_tokenizer();
    save_optimizer(optimizer_path(path), trainer_.optimizer(), model_.device());
    save_checkpoint(path, model_, {model_.config(), data_.tokenizer().hash(), n});
    folder_.published(n, run_.keep_last);
    saved_step_ = n;
    paused_ += Clock::now() - before;
  }

  /// "step 100/1000  loss ...", with the newest validation loss if asked for.
  std::string line(int64_t n, const StepResult& result, bool with_validation) const {
    const double done = static_cast<double>(n - first_step_);
    const double left = elapsed() / done * static_cast<double>(run_.training.steps - n);
    return fmt::format("step {:>5}/{}  loss {:.4f}{}  lr {:.2e}  {} tokens/s  {} left", n,
                       run_.training.steps, result.loss,
                       with_validation ? fmt::format("  val {:.4f}", *val_loss_) : "", result.learning_rate,
                       grouped(static_cast<long long>(speed_)), duration_text(left));
  }

  void summary() const {
    const double seconds = elapsed();
    const int64_t steps = trainer_.step() - first_step_;
    progress_.print(fmt::format(
        "done       {} steps in {}, {} tokens/s{}", grouped(steps), duration_text(seconds),
        grouped(static_cast<long long>(static_cast<double>(steps * tokens_per_step()) / seconds)),
        val_loss_ ? fmt::format(", validation loss {:.4f} (best {:.4f})", *val_loss_, *best_val_loss_) : ""));
    progress_.print(fmt::format("saved      {}", folder_.checkpoint(trainer_.step())));
  }

  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  int64_t tokens_per_step() const {
    return int64_t{run_.training.batch} * model_.config().max_seq_len * run_.training.grad_accum;
  }

  const TrainingRun& run_;
  const RunFolder& folder_;
  GPTModel& model_;
  PreparedData& data_;
  ProgressLine& progress_;
  DataSplit split_;
  DataLoader train_data_;
  std::optional<DataLoader> val_data_;
  Trainer trainer_;

  Clock::time_point start_{}, last_report_{};
  Clock::duration paused_{};  // evaluating and saving since the last report
  int64_t first_step_ = 0, reported_step_ = 0;
  double speed_ = 0.0;
  std::optional<double> val_loss_, best_val_loss_;
  std::optional<int64_t> saved_step_;
};

}  // namespace

void run_training(const TrainingRun& run) {
  ProgressLine progress;
  check_flags(run);
  const RunFolder folder(run.run_name);
  const auto device = make_device(run.device, run.threads);
  std::optional<Checkpoint> checkpoint;
  if (!run.checkpoint.empty()) checkpoint = Checkpoint::open(run.checkpoint);

  // All that can be wrong is found before anything is written.
  PreparedData data(run, folder, progress);
  if (checkpoint) checkpoint->check_tokenizer(data.tokenizer().hash(), data.tokenizer_path());
  const auto model = make_model(run, checkpoint, data.tokenizer().vocab_size(), *device);
  folder.create();
  const TokenFile tokens = data.tokens(model->config().max_seq_len);
  progress.print(describe(*model));
  progress.print("device     " + device->description());

  TrainingLoop loop(run, folder, *model, data, tokens, progress);
  if (checkpoint) loop.resume(run.checkpoint, checkpoint->info().step);
  loop.run();
}

}  // namespace hipgpt
