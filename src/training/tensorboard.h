// TensorBoard: a run's records, where TensorBoard shows them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "training/event_file.h"
#include "training/progress_line.h"
#include "util/json.h"

namespace hipgpt {

/// It is for looking at a run, which must not end because of it: a write that fails is said once, and then
/// the training goes on without.
class TensorBoard {
 public:
  /// Error if `folder` can't be written to: that is found at the start of a run.
  TensorBoard(const std::string& folder, int64_t first_step, ProgressLine& progress)
      : file_(std::in_place, folder, first_step), first_step_(first_step), progress_(progress) {}

  /// Adds a record of metrics.jsonl: the numbers of a step or a validation as scalars, a sample and the
  /// run's settings as texts.
  void write(const JsonValue& record);

 private:
  std::optional<EventFile> file_;  // none after a failure
  int64_t first_step_;
  ProgressLine& progress_;
};

}  // namespace hipgpt
