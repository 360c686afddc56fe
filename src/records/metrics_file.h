// metrics.jsonl: one JSON object a line, for plots and for programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "util/append_file.h"
#include "util/json.h"

namespace hipgpt {

/// Every start of a run writes a line that describes it, {"run": {...}}. Training steps are {"step", "loss",
/// "lr", "grad_norm", "tokens_per_s", "elapsed_s"}, evaluations {"step", "val_loss", "elapsed_s"} and samples
/// {"step", "prompt", "sample", "elapsed_s"}. Every line is flushed.
class MetricsFile {
 public:
  /// Begins an empty file; or, for a run that resumes after `resumed_step`, keeps the lines up to that step.
  /// What follows them is from a run that died: later steps, and perhaps half a line.
  MetricsFile(const std::string& path, std::optional<int64_t> resumed_step);

  void write(const JsonValue& record);

 private:
  AppendFile out_;
};

/// The part of a metrics file that belongs to the run up to `last_step`: all lines before the first of a
/// later step, and of those none after the last that has a step. What comes after that is from a resumed run
/// that died before its first step.
std::string_view lines_up_to(std::string_view text, int64_t last_step);

/// What a metrics file tells of a run. The report, the loss curve and scripts/plot_training.py all read it by
/// these rules; the script has a copy of them, which a test holds against read_history().
///
/// - A record is a line that is a JSON object with an integer `step`, and whose numbers all lie in the ranges
///   of what a run can write.
/// - A run that resumed repeats steps. Each series (loss, validation loss, speed, samples) is in ascending
///   order: a record replaces those of its series for the same step and for later ones.
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
  std::vector<Point> loss, val_loss;     ///< by step, as all below
  std::vector<Point> tokens_per_second;  ///< of the steps since the record before
  std::vector<Sample> samples;
  double elapsed_seconds = 0.0;  ///< of the newest record
  int64_t absurd_records = 0;    ///< left out: they have numbers that no run writes, such as a step of -1

  /// Those of the newest start, "--name=value".
  std::vector<std::string> flags() const;

  /// The lowest validation loss, if there is any.
  std::optional<Point> best_validation() const;
};

/// A file that does not exist has no history; a line that is not a record is skipped.
RunHistory read_history(const std::string& path);

}  // namespace hipgpt
