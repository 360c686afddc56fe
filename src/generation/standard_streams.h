// Standard input, output and error as generate uses them.
#pragma once

#include <string>
#include <string_view>

namespace hipgpt {

/// Writes to standard output and flushes it. Throws Error on failure.
void write_out(std::string_view text);

/// From now on, write_out() appends to `text`, and what goes to standard error is dropped. For a process whose
/// output another one prints.
void redirect_output(std::string& text);

/// Writes to standard error. Failures are ignored.
void print_status(const std::string& text);

/// Replaces the line that shows the progress on standard error; "" removes it. Shows nothing unless standard
/// error is a terminal. `line` has no characters that a terminal would act on.
void show_progress(const std::string& line);

/// Reads all of standard input. Throws Error if it cannot be read or is longer than kLongestInput.
std::string read_standard_input();

/// Reads the next line without its line feed. Returns false at the end of input. Throws Error as above.
bool read_standard_line(std::string& line);

bool standard_input_is_a_terminal();

}  // namespace hipgpt
