// Every call of HIP is checked, and every launch.
#pragma once

#include <hip/hip_runtime.h>

#include <string>

#include "error.h"

namespace hipgpt::hip {

/// A call of HIP that failed.
struct HipError : Error {
  HipError(hipError_t error, const std::string& message) : Error(message), code(error) {}
  hipError_t code;
};

/// HipError that names the call, where it stands, what HIP says of it and what a user could try.
[[noreturn]] void throw_hip_error(hipError_t error, const char* call, const char* file, int line);

inline void check(hipError_t error, const char* call, const char* file, int line) {
  if (error != hipSuccess) throw_hip_error(error, call, file, line);
}

}  // namespace hipgpt::hip

#define HIP_CHECK(call) ::hipgpt::hip::check((call), #call, __FILE__, __LINE__)

/// After a launch: HIP_CHECK_LAUNCH("layernorm").
#define HIP_CHECK_LAUNCH(kernel) \
  ::hipgpt::hip::check(hipGetLastError(), "launch of " kernel, __FILE__, __LINE__)
