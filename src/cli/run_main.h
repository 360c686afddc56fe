// Start-up and error handling for both main() functions.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <system_error>

#include "cli/flag_names.h"
#include "util/mapping_faults.h"
#include "util/print_error.h"

namespace hipgpt {

/// A program started without standard streams would get their numbers for its own files and write its
/// messages into a checkpoint. This function therefore opens each closed stream, in the mode that makes it
/// unusable.
inline void hold_standard_streams() {
  for (int stream = 0; stream < 3; ++stream) {
    if (::fcntl(stream, F_GETFD) == -1 && errno == EBADF) {
      [[maybe_unused]] const int opened = ::open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY);
    }
  }
}

inline const char* name_of_program = "";
inline std::terminate_handler terminate_before = nullptr;

/// If memory runs out in a noexcept function, the exception ends the process. This handler also reports that
/// in one line.
[[noreturn]] inline void report_terminate() {
  try {
    if (std::current_exception()) throw;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "%s: out of memory\n", name_of_program);
    ::_exit(1);
  } catch (...) {
  }
  terminate_before();
  std::abort();
}

/// Both main() functions call this first.
inline void prepare_process(const char* program) {
  name_of_program = program;
  set_parameter_names(kFlagNames);
  terminate_before = std::set_terminate(report_terminate);
  hold_standard_streams();
  // With SIGXFSZ ignored, exceeding the file size limit (ulimit -f) is an error of write(), reported like any
  // other.
  std::signal(SIGXFSZ, SIG_IGN);
  report_mapping_faults(program);
}

/// Calls f and returns its exit status, or 1 after one line on standard error.
template <typename F>
int report_errors(const char* program, const F& f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "%s: out of memory\n", program);  // needs no memory
  } catch (const std::system_error& error) {
    const bool no_thread = error.code() == std::errc::resource_unavailable_try_again;
    print_error(program, no_thread ? "no more threads can be started (ulimit -v and -u are limits); use "
                                     "--threads 1, or raise the limit"
                                   : error.what());
  } catch (const std::exception& error) {
    print_error(program, error.what());
  }
  return 1;
}

}  // namespace hipgpt
