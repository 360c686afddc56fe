// The flags of train_gpt.
#pragma once

#include "run_training.h"

namespace hipgpt {

/// Fills `run` from the command line. False: do not train, but exit with `exit_status`.
bool parse_train_options(int argc, char** argv, TrainingRun& run, int& exit_status);

}  // namespace hipgpt
