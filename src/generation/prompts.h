// Reads the prompts of a run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "run_generation.h"

namespace hipgpt {

/// Returns the non-empty prompts of a run that is not interactive. They come from its prompt, its prompt
/// file, the lines of its prompts file, or standard input if none of these is given. A final newline in a
/// file ends its last line and is not part of a prompt, and empty lines at the end of a prompts file are not
/// prompts. Throws Error if there is nothing to continue.
std::vector<std::string> read_prompts(const GenerationRun& run);

/// Prints a warning on standard error for a file that does not look like text. Throws Error for one of a
/// format that is never text.
void warn_unless_text(const std::string& file, std::string_view bytes);

}  // namespace hipgpt
