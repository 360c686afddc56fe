// What goes wrong, on standard error.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <string>

#include "util/terminal.h"

namespace hipgpt {

/// One line on standard error, if it is there: whatever a file name holds, and without failing itself. A
/// message may quote a name or a token of any length; the middle of a long one is left out.
inline void print_error(const std::string& program, std::string message) {
  std::replace_if(
      message.begin(), message.end(), [](unsigned char c) { return std::iscntrl(c); }, ' ');
  constexpr size_t kLongest = 1000, kEnd = 300;
  if (message.size() > kLongest) {
    message = message.substr(0, kLongest - kEnd) + " ... " + message.substr(message.size() - kEnd);
  }
  print_to(stderr, fmt::format("{}: {}\n", program, message));
}

}  // namespace hipgpt
