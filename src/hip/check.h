// Checks every HIP call and every launch.
#pragma once

#include <hip/hip_runtime.h>

#include <string>

#include "error.h"

namespace hipgpt::hip {

/// A HIP call failed.
struct HipError : Error {
  HipError(hipError_t error, const std::string& message) : Error(message), code(error) {}
  hipError_t code;
};

/// Throws HipError, whose message gives the call, its file and line, HIP's description and what to try.
[[noreturn]] void throw_hip_error(hipError_t error, const char* call, const char* file, int line);

inline void check(hipError_t error, const char* call, const char* file, int line) {
  if (error != hipSuccess) throw_hip_error(error, call, file, line);
}

}  // namespace hipgpt::hip

#define HIP_CHECK(call) ::hipgpt::hip::check((call), #call, __FILE__, __LINE__)

/// Use it after a launch: HIP_CHECK_LAUNCH("layernorm").
#define HIP_CHECK_LAUNCH(kernel) \
  ::hipgpt::hip::check(hipGetLastError(), "launch of " kernel, __FILE__, __LINE__)
