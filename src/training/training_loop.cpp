#include "training/training_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>

#include "device/profile.h"
#include "error.h"
#include "records/report.h"
#include "training/stop_signal.h"
#include "util/atomic_file.h"
#include "util/files.h"
#include "util/number_text.h"
#include "util/parameter.h"
#include "util/run_flags_text.h"
#include "util/utf8_stream.h"

namespace hipgpt {

namespace {

/// File names may hold any bytes.
std::vector<std::string> all_valid_utf8(std::vector<std::string> texts) {
  for (std::string& text : texts) text = valid_utf8(text);
  return texts;
}

JsonValue run_record(const TrainingRun& run, const GPTModel& model, const TrainingTokens& tokens,
                     int processes) {
  const ModelConfig& c = model.config();
  const TrainerOptions& t = run.training;
  return {{"run",
           {{"name", valid_utf8(run.run_name)},
            {"command", valid_utf8(run.command)},
            {"flags", to_json(run.first_flags)},
            {"version", HIPGPT_VERSION},
            {"compiler", HIPGPT_COMPILER},
            {"device", model.device().description()},
            {"dtype", name_of(model.dtype())},
            {"data", all_valid_utf8(run.data_paths)},
            {"val_data", all_valid_utf8(run.val_data_paths)},
            {"train_tokens", tokens.train.end - tokens.train.begin},
            {"val_tokens", tokens.val ? tokens.val->end - tokens.val->begin : 0},
            {"parameters", model.weights().size()},
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
            {"seed", t.seed},
            {"processes", processes}}}};
}

/// Formats a number, and NaN as "nan" without its sign.
std::string number(double x) {
  return std::isnan(x) ? "nan" : fmt::format("{:g}", x);
}

/// Indents the lines of a text to the column of the other messages.
std::string indented(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\n' ? "\n           " : std::string(1, c);
  return out;
}

bool stop_asked() {
  return StopSignal::received() != 0;
}

}  // namespace

TrainingLoop::TrainingLoop(const TrainingRun& run, const RunFolder& folder, GPTModel& model,
                           const Tokenizer& tokenizer, const TrainingTokens& tokens,
                           CheckpointWriter::Run saved_with, ProgressLine& progress, TimingDevice* timing,
                           Team& team, Communicator& communicator)
    : run_(run),
      folder_(folder),
      model_(model),
      tokenizer_(tokenizer),
      tokens_(tokens),
      progress_(progress),
      timing_(timing),
      team_(team),
      communicator_(communicator),
      train_data_(loader(tokens.train, run, model.config(), communicator)),
      trainer_(model, train_data_, run.training, communicator),
      roles_(saved_with.roles),
      writer_(folder, model.device(), model.config(), std::move(saved_with)) {
  if (tokens.val) val_data_ = loader(*tokens.val, run, model.config(), communicator);
}

void TrainingLoop::tell(Command command) {
  const char letter = static_cast<char>(command);
  team_.tell({&letter, 1});
}

void TrainingLoop::start(const OptimizerFile* resumed) {
  if (resumed == nullptr) return trainer_.start_at(0);
  resumes_here_ = folder_.holds(resumed->path());
  trainer_.start_at(resumed->info().step, [&](Moment moment, const GPTWeights& values) {
    resumed->load(moment, values, model_.device());
  });
}

int TrainingLoop::run() {
  const StopSignal stop_signal(ProgressLine::print_in_signal_handler);
  team_.forward_signals({}, [](int signal) {
    if (!stop_asked()) std::raise(signal);  // an MPI launcher sends it to all processes
  });
  check_that_checkpoints_can_be_written();
  first_step_ = reported_step_ = trainer_.step();
  begin_records();
  start_ = last_report_ = last_save_ = Clock::now();
  for (bool ended = false; !ended;) {
    const bool done = train_step();
    const int64_t n = trainer_.step();
    if (timing_ != nullptr) profile();
    if (n == first_step_) {
      progress_.print("stopped    within the first step; there is nothing to save");
      return 128 + StopSignal::received();
    }
    const bool last = n == run_.training.steps;
    ended = last || stop_asked();
    // After a step that was abandoned, step n is the one before, which may have had its turn.
    const bool logged = n > reported_step_ && (ended || n == first_step_ + 1 || n % run_.log_every == 0);
    bool evaluated = done && val_data_ && (last || (run_.eval_every > 0 && n % run_.eval_every == 0));
    const bool sampled = done && samples_ && (last || n % run_.sample_every == 0);
    const bool saved = save_due(n);
    // Reading a result waits for the GPU, so the loop reads it only if it is shown or saved.
    if (!ended && !logged && !evaluated && !sampled && !saved && !progress_.due()) continue;
    StepResult result{};
    tell(Command::kResult);
    unless_not_finite([&] { result = trainer_.last_step(); });
    if (logged) log(n, result);
    evaluated = evaluated && validate(n);
    if (evaluated || (logged && !progress_.is_terminal())) progress_.print(line(n, result, evaluated));
    progress_.show(line(n, result, val_loss_.has_value()));
    ended = ended || stop_asked() || (evaluated && out_of_patience());
    if (sampled && !stop_asked()) sample(n);
    const bool is_best = run_.keep_best && evaluated && validations_since_best_ == 0;
    if (saved || ended || is_best) save(is_best);
  }
  finish_saving();
  const int signal = trainer_.step() < run_.training.steps ? StopSignal::received() : 0;
  summary(signal);
  report();
  return signal == 0 ? 0 : 128 + signal;
}

/// Records the operations of the steps after the first, which is slower because it touches memory for the
/// first time.
void TrainingLoop::profile() {
  const int64_t done = trainer_.step() - first_step_;
  if (done == 1) timing_->start();
  if (done != 1 + run_.profile_steps) return;
  const auto before = Clock::now();
  const auto rows = profile_rows(timing_->stop());
  const Roofline roofline = measure_roofline(timing_->device(), model_.dtype());
  progress_.print("profile    " + profile_table(rows, run_.profile_steps, roofline));
  paused_ += Clock::now() - before;
}

/// Runs one step. A request to stop ends it between two micro-batches, and then it returns false. Several
/// processes finish the step.
bool TrainingLoop::train_step() {
  const auto before = Clock::now();
  const int64_t tokens = tokens_per_step(), parts = run_.training.grad_accum;
  bool done = false;
  tell(Command::kStep);
  unless_not_finite([&] {
    done = trainer_.train_step([&](int part) {
      if (Clock::now() - before > std::chrono::seconds(1)) {
        progress_.show(fmt::format("step {:>5}/{}  micro-batch {}/{}, {} of {} tokens", trainer_.step() + 1,
                                   run_.training.steps, part, parts, grouped(tokens / parts * part),
                                   grouped(tokens)));
      }
      return team_.size() > 1 || !stop_asked();
    });
  });
  return done;
}

/// An unwritable folder should stop a long run at its start, not at its end.
void TrainingLoop::check_that_checkpoints_can_be_written() const {
  const std::string path = folder_.checkpoint(run_.training.steps);
  for (const std::string& file : {path, optimizer_path(path), folder_.tokenizer()}) AtomicFile probe(file);
  check_space();
}

void TrainingLoop::check_space() const {
  const std::string folder = folder_of(folder_.metrics());
  const auto available = free_bytes(folder);
  const int64_t steps = run_.training.steps - trainer_.step(), every = run_.checkpoint_every.value_or(0);
  const bool by_time = !run_.checkpoint_every;
  const int64_t saves = by_time ? steps : every == 0 ? 1 : (steps + every - 1) / every;
  const uint64_t needed = writer_.peak_bytes(saves);
  if (!available || *available >= needed) return;
  const bool one_fits = *available >= writer_.bytes();
  const std::string problem = fmt::format(
      "{}: the checkpoints of this run need {} ({} each: weights {}, optimizer state {}; the older ones stay "
      "until a new one is complete), but {} are free: free {} more{}",
      folder == "." ? "the working folder" : folder, bytes_text(needed), bytes_text(writer_.bytes()),
      bytes_text(writer_.weights_bytes()), bytes_text(writer_.bytes() - writer_.weights_bytes()),
      bytes_text(*available), bytes_text(needed - *available),
      one_fits ? fmt::format(", or use {} 0, which saves only at the end", Parameter::kCheckpointEvery)
               : ", use another folder, or train a smaller model");
  if (!by_time || !one_fits) throw Error(problem);
  progress_.warn(problem + "; a save that does not fit will be skipped");  // the run may be over before it
}

bool TrainingLoop::save_due(int64_t n) {
  if (SaveSignal::take()) {
    progress_.print(fmt::format("saving     step {}, as SIGUSR1 asks", n));
    return true;
  }
  if (run_.checkpoint_every) return *run_.checkpoint_every > 0 && n % *run_.checkpoint_every == 0;
  return Clock::now() - last_save_ >= std::chrono::duration<double>(run_.checkpoint_seconds);
}

template <typename F>
void TrainingLoop::unless_not_finite(const F& f) {
  try {
    f();
  } catch (const NotFinite& failure) {
    stop(failure.step, fmt::format("the loss is {} and the gradient norm {}", number(failure.loss),
                                   number(failure.grad_norm)));
  }
}

void TrainingLoop::stop(int64_t step, const std::string& why) {
  settle_save();
  const auto saved = writer_.saved_step();
  throw Error(fmt::format("step {}: {}; training stopped. {} Try a smaller {}", step, why,
                          saved ? fmt::format("The checkpoint of step {} is kept.", *saved)
                                : "No checkpoint was written or changed.",
                          Parameter::kLearningRate));
}

/// Opens the run's records. A resumed run keeps its earlier records.
void TrainingLoop::begin_records() {
  if (!run_.tensorboard.empty()) {
    const auto folder = std::filesystem::path(run_.tensorboard) / run_.run_name;
    tensorboard_.emplace(folder.string(), first_step_ + 1);
  }
  metrics_.emplace(folder_.metrics(), resumes_here_ ? std::optional(first_step_) : std::nullopt);
  const RunHistory before = read_history(folder_.metrics());
  if (before.absurd_records > 0) {
    progress_.warn(fmt::format("{}: {} of its records have numbers that no run writes; ignoring them",
                               folder_.metrics(), before.absurd_records));
  }
  earlier_seconds_ = before.elapsed_seconds;
  if (const auto best = before.best_validation()) {
    best_val_loss_ = best->value;
    validations_since_best_ = std::ranges::count_if(
        before.val_loss, [&](const RunHistory::Point& point) { return point.step > best->step; });
  }
  const auto description = run_record(run_, model_, tokens_, team_.size());
  metrics_->write(description);  // if even this write fails, the run must not begin
  write_or_drop(tensorboard_, description);
  if (run_.sample_every == 0) return;
  auto prompt = run_.sample_prompt.empty() ? first_tokens(tokens_.train.tokens, tokenizer_)
                                           : tokenizer_.encode(run_.sample_prompt);
  samples_.emplace(model_, tokenizer_, roles_, std::move(prompt), run_.sample_tokens, run_.training.seed);
}

void TrainingLoop::record(const JsonValue& record) {
  write_or_drop(metrics_, record);
  write_or_drop(tensorboard_, record);
}

/// Records only let the user watch a run, so a failure to write one must not end it. The failure is reported
/// once, and the run continues without these records.
template <typename Records>
void TrainingLoop::write_or_drop(std::optional<Records>& records, const JsonValue& record) {
  if (!records) return;
  try {
    records->write(record);
  } catch (const Error& error) {
    records.reset();
    progress_.warn(fmt::format("{}; training continues without it", error.what()));
  }
}

void TrainingLoop::log(int64_t n, const StepResult& result) {
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - last_report_ - paused_).count();
  speed_ = static_cast<double>((n - reported_step_) * tokens_per_step()) / std::max(seconds, 1e-9);
  last_report_ = now;
  reported_step_ = n;
  paused_ = {};
  JsonValue step = {{"step", n},
                    {"loss", result.loss},
                    {"lr", result.learning_rate},
                    {"grad_norm", result.grad_norm},
                    {"tokens_per_s", speed_},
                    {"elapsed_s", earlier_seconds_ + elapsed()}};
  if (team_.size() > 1) {
    const double waited = communicator_.seconds() - std::exchange(reported_wait_, communicator_.seconds());
    step.set("communication", waited / std::max(seconds, 1e-9));  // its share of the time
  }
  record(step);
}

/// Returns false if a stop request interrupted it.
bool TrainingLoop::validate(int64_t n) {
  const auto before = Clock::now();
  tell(Command::kValidate);
  const double loss = evaluate(trainer_.pass(), *val_data_, static_cast<size_t>(run_.eval_batches),
                               stop_asked, communicator_);
  paused_ += Clock::now() - before;
  if (stop_asked()) return false;
  if (!std::isfinite(loss)) stop(n, "the validation loss is " + number(loss));
  val_loss_ = loss;
  const bool is_best = !best_val_loss_ || loss < *best_val_loss_;
  validations_since_best_ = is_best ? 0 : validations_since_best_ + 1;
  if (is_best) best_val_loss_ = loss;
  record({{"step", n}, {"val_loss", loss}, {"elapsed_s", earlier_seconds_ + elapsed()}});
  return true;
}

bool TrainingLoop::out_of_patience() {
  if (run_.patience == 0 || validations_since_best_ < run_.patience) return false;
  if (trainer_.step() < run_.training.steps) {
    progress_.print(
        fmt::format("stopping   {} validations without a new lowest loss", grouped(validations_since_best_)));
  }
  return true;
}

void TrainingLoop::sample(int64_t n) {
  const auto before = Clock::now();
  const std::string text = samples_->continuation();
  paused_ += Clock::now() - before;
  progress_.print("sample     " + indented(samples_->prompt() + text));
  record({{"step", n},
          {"prompt", samples_->prompt()},
          {"sample", text},
          {"elapsed_s", earlier_seconds_ + elapsed()}});
}

/// Training continues while the files are written.
void TrainingLoop::save(bool is_best) {
  const auto before = Clock::now();
  settle_save();
  if (run_.training.shard_optimizer) tell(Command::kSave);
  writer_.save(model_, trainer_, is_best);
  last_save_ = Clock::now();
  paused_ += Clock::now() - before;
}

/// A failed save is only a warning, because the training is worth more. The next save retries.
void TrainingLoop::settle_save() {
  try {
    writer_.wait();
  } catch (const std::exception& failure) {
    progress_.warn(fmt::format("{}; training continues without this checkpoint", failure.what()));
  }
}

/// The last save must not be lost. If it fails, the weights alone are saved if that is possible. A user at a
/// terminal may then make room for the rest.
void TrainingLoop::finish_saving() {
  for (bool weights_saved = false;;) {
    std::string problem;
    try {
      return writer_.wait();
    } catch (const std::exception& failure) {
      problem = failure.what();
    }
    const int64_t step = trainer_.step();
    if (!weights_saved && writer_.save_weights_alone()) {
      weights_saved = true;
      writer_.retry();  // an older checkpoint may have made room for the rest
      continue;
    }
    if (weights_saved) {
      problem += fmt::format(
          "; only the weights of step {0} are saved, in {1}, without the optimizer state: {2} {1} continues "
          "from them with a new optimizer, and {3} from the checkpoint before, if there is one",
          step, folder_.checkpoint(step), Parameter::kCheckpoint, Parameter::kResume);
    } else if (const auto available = free_bytes(folder_of(folder_.metrics()));
               available && *available < writer_.bytes()) {
      problem += fmt::format(
          "; step {} is not saved: it needs {}, or {} for the weights alone, but {} are free", step,
          bytes_text(writer_.bytes()), bytes_text(writer_.weights_bytes()), bytes_text(*available));
    }
    if (!user_makes_room(problem)) throw Error(problem);
    writer_.retry();
  }
}

/// Waits until the user asks for another try. Returns false if that is impossible or the user gives up.
bool TrainingLoop::user_makes_room(const std::string& problem) {
  const int signal = StopSignal::received();
  if (!progress_.can_ask() || (signal != 0 && signal != SIGINT)) return false;  // the system or terminal ends
  progress_.warn(problem);
  progress_.print("waiting    make room, then press Enter to try again (or send SIGUSR1); Ctrl-C gives up");
  StopSignal::be_quiet();
  for (const int count = StopSignal::count(); StopSignal::count() == count;) {
    if (SaveSignal::take()) return true;
    const auto answer = progress_.answer();
    if (answer != ProgressLine::Answer::kNone) return answer == ProgressLine::Answer::kLine;
  }
  return false;
}

/// Formats "step 100/1000  loss ...", with the newest validation loss if requested.
std::string TrainingLoop::line(int64_t n, const StepResult& result, bool with_validation) const {
  const double done = static_cast<double>(n - first_step_);
  const double left = elapsed() / done * static_cast<double>(run_.training.steps - n);
  return fmt::format(
      "step {:>5}/{}  loss {:.4f}{}  lr {:.2e}  {} tokens/s  {} left", n, run_.training.steps, result.loss,
      with_validation ? fmt::format("  val {:.4f} (perplexity {:.1f})", *val_loss_, std::exp(*val_loss_))
                      : "",
      result.learning_rate, grouped(static_cast<long long>(speed_)), duration_text(left));
}

void TrainingLoop::summary(int signal) const {
  const double seconds = elapsed();
  const int64_t steps = trainer_.step() - first_step_;
  progress_.print(fmt::format(
      "{} {} in {}, {} tokens/s{}", signal == 0 ? "done      " : "stopped   ", counted(steps, "step"),
      duration_text(seconds),
      grouped(static_cast<long long>(static_cast<double>(steps * tokens_per_step()) / seconds)),
      val_loss_ ? fmt::format(", validation loss {:.4f} (best {:.4f})", *val_loss_, *best_val_loss_) : ""));
  progress_.print(fmt::format(
      "saved      {}{}", folder_.checkpoint(trainer_.step()),
      signal == 0 ? "" : fmt::format(" of step {}; {} continues", trainer_.step(), Parameter::kResume)));
}

/// The training is already saved, so a failure to write the report is only a warning.
void TrainingLoop::report() {
  try {
    write_report(folder_);
  } catch (const std::exception& error) {
    progress_.warn(error.what());
  }
}

int64_t TrainingLoop::tokens_per_step() const {
  return int64_t{run_.training.batch} * model_.config().max_seq_len * run_.training.grad_accum;
}

}  // namespace hipgpt
