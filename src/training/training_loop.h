// TrainingLoop: runs the training steps, and evaluates, samples and saves between them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "comm/processes.h"
#include "data_loader.h"
#include "device/timing_device.h"
#include "records/metrics_file.h"
#include "records/progress_line.h"
#include "records/tensorboard.h"
#include "run_folder.h"
#include "run_training.h"
#include "trainer.h"
#include "training/checkpoint_writer.h"
#include "training/follower.h"
#include "training/prepare_data.h"
#include "training/samples.h"

namespace hipgpt {

/// Trains, evaluates, samples, saves and reports. It runs in the leader of several processes, and tells the
/// others what to compute (follower.h).
class TrainingLoop {
 public:
  /// `timing` is the model's device if the run profiles its steps, or null.
  TrainingLoop(const TrainingRun& run, const RunFolder& folder, GPTModel& model, const Tokenizer& tokenizer,
               const TrainingTokens& tokens, CheckpointWriter::Run saved_with, ProgressLine& progress,
               TimingDevice* timing, Team& team, Communicator& communicator);

  /// Begins at step 0, or at the step of an optimizer file with its moments.
  void start(const OptimizerFile* resumed);
  int64_t step() const { return trainer_.step(); }

  /// Trains to the last step, or until a signal asks to stop, and saves. Returns the exit status: 0, or 128
  /// + the signal.
  int run();

 private:
  using Clock = std::chrono::steady_clock;

  void check_that_checkpoints_can_be_written() const;
  void check_space() const;
  void tell(Command command);
  template <typename F>
  void unless_not_finite(const F& f);
  [[noreturn]] void stop(int64_t step, const std::string& why);
  void begin_records();
  void record(const JsonValue& record);
  template <typename Records>
  void write_or_drop(std::optional<Records>& records, const JsonValue& record);
  void log(int64_t n, const StepResult& result);
  bool validate(int64_t n);
  void sample(int64_t n);
  void profile();
  bool train_step();
  bool save_due(int64_t n);
  void save(bool is_best);
  bool out_of_patience();
  void settle_save();
  void finish_saving();
  bool user_makes_room(const std::string& problem);
  std::string line(int64_t n, const StepResult& result, bool with_validation) const;
  void summary(int signal) const;
  void report();
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  int64_t tokens_per_step() const;

  const TrainingRun& run_;
  const RunFolder& folder_;
  GPTModel& model_;
  const Tokenizer& tokenizer_;
  const TrainingTokens& tokens_;
  ProgressLine& progress_;
  TimingDevice* timing_;
  Team& team_;
  Communicator& communicator_;
  DataLoader train_data_;
  std::optional<DataLoader> val_data_;
  Trainer trainer_;
  TokenRoles roles_;
  CheckpointWriter writer_;
  std::optional<MetricsFile> metrics_;
  std::optional<TensorBoard> tensorboard_;
  std::optional<Samples> samples_;

  Clock::time_point start_{}, last_report_{}, last_save_{};
  Clock::duration paused_{};    // time for evaluating, sampling and saving since the last report
  double earlier_seconds_ = 0;  // of the run before it was resumed
  bool resumes_here_ = false;   // the resumed run and its records are in this folder
  int64_t first_step_ = 0, reported_step_ = 0;
  double speed_ = 0.0;
  double reported_wait_ = 0.0;  // Communicator::seconds() at the last report
  std::optional<double> val_loss_, best_val_loss_;
  int64_t validations_since_best_ = 0;
};

}  // namespace hipgpt
