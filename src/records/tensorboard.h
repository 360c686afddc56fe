// TensorBoard: a run's records, where TensorBoard shows them.
#pragma once

#include <cstdint>
#include <string>

#include "records/event_file.h"
#include "util/json.h"

namespace hipgpt {

class TensorBoard {
 public:
  /// Error if `folder` can't be written to.
  TensorBoard(const std::string& folder, int64_t first_step)
      : file_(folder, first_step), first_step_(first_step) {}

  /// Adds a record of metrics.jsonl: the numbers of a step or a validation as scalars, a sample and the
  /// run's settings as texts. Error if it can't be written.
  void write(const JsonValue& record);

 private:
  EventFile file_;
  int64_t first_step_;
};

}  // namespace hipgpt
