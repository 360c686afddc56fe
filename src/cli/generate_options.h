// The flags of generate.
#pragma once

#include "run_generation.h"

namespace hipgpt {

/// Fills `run` from the command line. If it returns false, the program must not generate but exit with
/// `exit_status`.
bool parse_generate_options(int argc, char** argv, GenerationRun& run, int& exit_status);

}  // namespace hipgpt
