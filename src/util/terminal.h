// Text for a terminal, which executes some characters instead of displaying them.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace hipgpt {

/// Replaces every character that a terminal could execute, or that reorders text, by U+FFFD: C0 except tab
/// and newline, DEL, C1 (ECMA-48), Unicode's bidirectional controls (UAX #9), and bytes that are not UTF-8.
std::string terminal_text(std::string_view text);

bool is_terminal(std::FILE* stream);

/// Moves a terminal to the beginning of its line and erases the line.
inline constexpr const char* kEraseLine = "\r\033[K";

/// Writes and flushes terminal_text(text) to a terminal, and the exact bytes to anything else. `text` must
/// begin and end with whole characters. Returns false if it cannot be written.
bool print_to(std::FILE* stream, std::string_view text);

}  // namespace hipgpt
