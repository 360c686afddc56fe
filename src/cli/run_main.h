// What both mains do first, and what they do with what goes wrong.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

namespace hipgpt {

/// A program that is started without standard streams would get their numbers for its own files, and write
/// its messages into a checkpoint. So a stream that is closed is opened, in a way that can't be used.
inline void hold_standard_streams() {
  for (int stream = 0; stream < 3; ++stream) {
    if (::fcntl(stream, F_GETFD) == -1 && errno == EBADF) {
      [[maybe_unused]] const int opened = ::open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY);
    }
  }
}

/// One line on standard error, if it is there: whatever a file name holds, and without failing itself.
inline void print_error(const std::string& program, std::string message) {
  std::replace_if(
      message.begin(), message.end(), [](unsigned char c) { return std::iscntrl(c); }, ' ');
  std::fputs(fmt::format("{}: {}\n", program, message).c_str(), stderr);
}

/// Calls f and returns its exit status, or 1 after one line on standard error.
template <typename F>
int report_errors(const char* program, const F& f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    print_error(program, "out of memory");
  } catch (const std::exception& error) {
    print_error(program, error.what());
  }
  return 1;
}

}  // namespace hipgpt
