// What goes wrong, on standard error.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <string>

#include "util/terminal.h"

namespace hipgpt {

/// One line on standard error, if it is there: whatever a file name holds, and without failing itself.
inline void print_error(const std::string& program, std::string message) {
  std::replace_if(
      message.begin(), message.end(), [](unsigned char c) { return std::iscntrl(c); }, ' ');
  print_to(stderr, fmt::format("{}: {}\n", program, message));
}

}  // namespace hipgpt
