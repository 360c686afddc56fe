#include "records/markdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace hipgpt::markdown {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\`*_[]<>&|~").find(c) != std::string_view::npos) out += '\\';
    out += std::iscntrl(static_cast<unsigned char>(c)) ? ' ' : c;
  }
  return out;
}

std::string table_head(std::string_view left, std::string_view right) {
  return fmt::format("\n| {} | {} |\n|---|---|\n", left, right);
}

std::string table_row(std::string_view left, std::string_view right) {
  return fmt::format("| {} | {} |\n", escaped(left), escaped(right));
}

std::string code_block(std::string_view text) {
  size_t run = 0, longest = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(std::max<size_t>(3, longest + 1), '`');
  return fmt::format("\n{}text\n{}\n{}\n", fence, text, fence);
}

}  // namespace hipgpt::markdown
