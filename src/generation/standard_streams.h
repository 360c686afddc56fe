// Standard input, output and error as generate uses them.
#pragma once

#include <string>
#include <string_view>

namespace hipgpt {

/// To standard output, at once; Error if it cannot be written.
void write_out(std::string_view text);

/// To standard error; a failure to write is ignored.
void print_status(const std::string& text);

/// Everything up to its end; Error if it cannot be read, or is longer than kLongestInput.
std::string read_standard_input();

/// The next line without its line feed; false at the end of standard input. Error as above.
bool read_standard_line(std::string& line);

/// Whether standard input is a terminal.
bool standard_input_is_a_terminal();

}  // namespace hipgpt
