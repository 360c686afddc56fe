// Reading whole texts from any stream, up to a limit.
#pragma once

#include <cstddef>
#include <istream>
#include <string>

namespace hipgpt {

/// The largest size in bytes of a prompt, a prompt file or a flag file. The limit exists because a stream may
/// be endless.
constexpr size_t kLongestInput = size_t{1} << 30;

/// Throws the Error for a text that is too long. `name` identifies the text to the user: a file, or standard
/// input.
[[noreturn]] void fail_as_too_long(const std::string& name, size_t limit = kLongestInput);

/// Reads to the end of `input`. Throws Error beyond `limit` bytes.
std::string read_all(std::istream& input, const std::string& name, size_t limit = kLongestInput);

/// Reads the next line, without its line feed, which the last line may lack. Returns false at the end of
/// `input`. Throws Error beyond `limit` bytes.
bool read_line(std::istream& input, std::string& line, const std::string& name, size_t limit = kLongestInput);

}  // namespace hipgpt
