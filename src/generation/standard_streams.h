// Standard input, output and error as generate uses them.
#pragma once

#include <string>
#include <string_view>

namespace hipgpt {

/// To standard output, at once; Error if it cannot be written.
void write_out(std::string_view text);

/// To standard error, for whoever reads it, if anybody does.
void remark(const std::string& text);

/// Everything up to its end; Error if it cannot be read.
std::string read_standard_input();

/// Whether somebody types there.
bool standard_input_is_a_terminal();

}  // namespace hipgpt
