// The flags of train_gpt.
#pragma once

#include <string>
#include <vector>

#include "run_training.h"

namespace hipgpt {

/// What a run has saved of its flags, "--name=value" each.
struct SavedSettings {
  std::vector<std::string> taken;  ///< settings of a run, with values within their ranges
  std::vector<std::string> left;   ///< everything else: a stranger may have written it
};

/// Sorts the flags in a file that a run left. Only what says what a run is may be read back: never where to
/// write, which other file to read flags from, or whether to run at all. Error, naming `source`, for a
/// setting whose value is out of range.
SavedSettings read_saved_settings(const std::vector<std::string>& flags, const std::string& source);

/// Fills `run` from the command line. False: do not train, but exit with `exit_status`.
bool parse_train_options(int argc, char** argv, TrainingRun& run, int& exit_status);

}  // namespace hipgpt
