// Texts that are read whole: up to a limit, whatever stream they come from.
#pragma once

#include <cstddef>
#include <istream>
#include <string>

namespace hipgpt {

/// The most bytes of a prompt, of a file of prompts and of a file of flags. A stream may have no end.
constexpr size_t kLongestInput = size_t{1} << 30;

/// Throws the Error of a text that is too long. `name` is what the user calls it: a file, or standard input.
[[noreturn]] void fail_as_too_long(const std::string& name, size_t limit = kLongestInput);

/// Everything up to the end of `input`; Error beyond `limit` bytes.
std::string read_all(std::istream& input, const std::string& name, size_t limit = kLongestInput);

/// The next line without its line feed, which the last line may lack; false at the end of `input`. Error
/// beyond `limit` bytes.
bool read_line(std::istream& input, std::string& line, const std::string& name, size_t limit = kLongestInput);

}  // namespace hipgpt
