// Error messages on standard error.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <string>

#include "util/terminal.h"

namespace hipgpt {

/// Prints one line on standard error, whatever characters a file name contains, and ignores failures. A
/// message may quote a name or a token of any length, so the middle of a long message is cut out.
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
