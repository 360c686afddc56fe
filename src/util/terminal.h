// Text on a terminal, which obeys some characters instead of showing them.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace hipgpt {

/// The text with U+FFFD in place of every character that a terminal could obey, or that reorders what is
/// shown: C0 but tab and newline, DEL, C1 (ECMA-48), the bidirectional controls of Unicode (UAX #9), and
/// bytes that are not UTF-8.
std::string terminal_text(std::string_view text);

bool is_terminal(std::FILE* stream);

/// Writes the text and flushes; on a terminal terminal_text(text), elsewhere the very bytes. `text` begins
/// and ends with whole characters. False if it cannot be written.
bool print_to(std::FILE* stream, std::string_view text);

}  // namespace hipgpt
