// metrics.jsonl: one JSON object per line, for plots and other programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "run_flags.h"
#include "util/append_file.h"
#include "util/json.h"

namespace hipgpt {

/// Every start of a run writes a line that describes it, {"run": {...}}. Training steps are {"step", "loss",
/// "lr", "grad_norm", "tokens_per_s", "elapsed_s"}, evaluations {"step", "val_loss", "elapsed_s"} and samples
/// {"step", "prompt", "sample", "elapsed_s"}. Every line is flushed.
class MetricsFile {
 public:
  /// Begins an empty file. For a run that resumes after `resumed_step`, keeps the lines up to that step
  /// instead. It drops what an interrupted run left after them: later steps and perhaps an incomplete line.
  MetricsFile(const std::string& path, std::optional<int64_t> resumed_step);

  void write(const JsonValue& record);

 private:
  AppendFile out_;
};

/// Returns the part of a metrics file that belongs to the run up to `last_step`. It ends with the last step
/// record before the first record of a later step. Lines between these two come from a resumed run that was
/// interrupted before its first step.
std::string_view lines_up_to(std::string_view text, int64_t last_step);

/// The history of a run, read from its metrics file. The report, the loss curve and scripts/plot_training.py
/// all follow these rules. A test compares the script's own implementation with read_history().
///
/// - A record is a line that is a JSON object with an integer `step` and whose numbers are all within the
///   ranges that a run can write.
/// - A resumed run repeats steps. Each series (loss, validation loss, speed, samples) is in ascending order:
///   a record replaces the records of its series for the same and later steps.
struct RunHistory {
  struct Point {
    int64_t step;
    double value;
  };
  struct Sample {
    int64_t step;
    std::string prompt, continuation;
  };

  JsonValue run = JsonValue::Object();   ///< the newest description
  std::vector<Point> loss, val_loss;     ///< by step, like all series below
  std::vector<Point> tokens_per_second;  ///< of the steps since the previous record
  std::vector<Sample> samples;
  double elapsed_seconds = 0.0;  ///< of the newest record
  int64_t absurd_records = 0;    ///< ignored: they have numbers that no run writes, such as step -1

  /// Returns the flags of the newest start.
  RunFlags flags() const;

  /// Returns the lowest validation loss, or nullopt if there is none.
  std::optional<Point> best_validation() const;
};

/// Returns an empty history if the file does not exist. Skips lines that are not records.
RunHistory read_history(const std::string& path);

}  // namespace hipgpt
