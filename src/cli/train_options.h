// The flags of train_gpt.
#pragma once

#include <string>

#include "run_training.h"

namespace hipgpt {

/// The flags that a run saved.
struct SavedSettings {
  RunFlags taken;  ///< settings of a run, with valid values
  RunFlags left;   ///< everything else, which may be malicious
};

/// Sorts the flags from a run's file. Only settings that define a run may be read back: never where to write,
/// which other file to read flags from, or whether to run at all. Throws Error, naming `source`, for a
/// setting whose value is out of range.
SavedSettings read_saved_settings(const RunFlags& flags, const std::string& source);

/// Fills `run` from the command line. If it returns false, the program must not train but exit with
/// `exit_status`.
bool parse_train_options(int argc, char** argv, TrainingRun& run, int& exit_status);

}  // namespace hipgpt
