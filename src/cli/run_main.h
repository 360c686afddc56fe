// What both mains do with what goes wrong.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <new>

namespace hipgpt {

/// Calls f and returns the exit status: 0, or 1 after one line on standard error.
template <typename F>
int report_errors(const char* program, const F& f) {
  try {
    f();
    return 0;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "{}: out of memory\n", program);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
  }
  return 1;
}

}  // namespace hipgpt
