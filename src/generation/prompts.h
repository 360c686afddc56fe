// Where prompts come from.
#pragma once

#include <string>
#include <vector>

#include "run_generation.h"

namespace hipgpt {

/// The prompts of a run that is not interactive, none of them empty: its prompt, that of its prompt file, the
/// lines of its prompts file, or standard input where none of these is given. One newline at the end of a
/// file is the end of its last line and not part of a prompt. Error if there is nothing to continue.
std::vector<std::string> read_prompts(const GenerationRun& run);

}  // namespace hipgpt
