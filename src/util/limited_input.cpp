#include "util/limited_input.h"

#include <fmt/format.h>

#include <vector>

#include "error.h"

namespace hipgpt {

void fail_as_too_long(const std::string& name, size_t limit) {
  const std::string in_words = limit == size_t{1} << 30 ? " (1 GiB)" : "";
  throw Error(
      fmt::format("{}: longer than {} bytes{}, the limit for one text; shorten it", name, limit, in_words));
}

// Both functions read from the stream's buffer, because the functions of std::istream turn any exception,
// including std::bad_alloc, into the end of the input.

std::string read_all(std::istream& input, const std::string& name, size_t limit) {
  std::streambuf& source = *input.rdbuf();
  std::string text;
  std::vector<char> piece(1 << 16);
  for (;;) {
    const auto count = source.sgetn(piece.data(), static_cast<std::streamsize>(piece.size()));
    if (count <= 0) return text;
    if (static_cast<size_t>(count) > limit - text.size()) fail_as_too_long(name, limit);
    text.append(piece.data(), static_cast<size_t>(count));
  }
}

bool read_line(std::istream& input, std::string& line, const std::string& name, size_t limit) {
  using Traits = std::istream::traits_type;
  std::streambuf& source = *input.rdbuf();
  line.clear();
  for (;;) {
    const auto c = source.sbumpc();
    if (Traits::eq_int_type(c, Traits::eof())) return !line.empty();
    if (Traits::to_char_type(c) == '\n') return true;
    if (line.size() == limit) fail_as_too_long(name, limit);
    line += Traits::to_char_type(c);
  }
}

}  // namespace hipgpt
