// What launches have in common: the number of blocks, and dynamic shared memory.
#pragma once

#include "hip/check.h"
#include "hip/kernel.h"

namespace hipgpt::hip {

constexpr size_t kSharedWithoutAsking = 48 * 1024;  ///< bytes that a block may use on every GPU

inline int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}

/// Launches a kernel with `bytes` of dynamic shared memory (HIPGPT_DYNAMIC_SHARED). NVIDIA GPUs allow more
/// than 48 KB only if an attribute of the kernel requests it. AMD GPUs have 64 KB and ignore the attribute.
/// Throws HipError if the GPU does not have enough. Setting the attribute again costs only a runtime call,
/// and is allowed while a stream is being captured.
template <typename... Parameters, typename... Arguments>
void launch_with_shared(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t bytes,
                        hipStream_t stream, Arguments... arguments) {
  if (bytes > kSharedWithoutAsking) {
    HIP_CHECK(hipFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                  hipFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  }
  hipLaunchKernelGGL(kernel, grid, block, bytes, stream, arguments...);
  HIP_CHECK(hipGetLastError());
}

}  // namespace hipgpt::hip
