// What both mains do first, and what they do with what goes wrong.
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <exception>
#include <new>

#include "util/mapping_faults.h"
#include "util/print_error.h"

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

/// What both mains do first.
inline void prepare_process(const char* program) {
  hold_standard_streams();
  // A file beyond the limit of ulimit -f is then an error of write(), which is said as any other.
  std::signal(SIGXFSZ, SIG_IGN);
  report_mapping_faults(program);
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
