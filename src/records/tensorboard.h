// TensorBoard: writes a run's records to a file that TensorBoard shows.
#pragma once

#include <cstdint>
#include <string>

#include "records/event_file.h"
#include "util/json.h"

namespace hipgpt {

class TensorBoard {
 public:
  /// Throws Error if it cannot write to `folder`.
  TensorBoard(const std::string& folder, int64_t first_step)
      : file_(folder, first_step), first_step_(first_step) {}

  /// Adds a record of metrics.jsonl. Numbers of a step or a validation become scalars; a sample and the run's
  /// settings become texts. Throws Error if it cannot be written.
  void write(const JsonValue& record);

 private:
  EventFile file_;
  int64_t first_step_;
};

}  // namespace hipgpt
