// Launches with dynamic shared memory.
#pragma once

#include "hip/check.h"
#include "hip/kernel.h"

namespace hipgpt::hip {

constexpr size_t kSharedWithoutAsking = 48 * 1024;  ///< bytes that every GPU gives a block

/// Launches a kernel with `bytes` of dynamic shared memory (HIPGPT_DYNAMIC_SHARED). NVIDIA's GPUs give more
/// than 48 KB only to a kernel that has asked; AMD's have 64 KB and ignore the question. HipError where the
/// GPU has not as much. The attribute belongs to the function, so asking again costs a call of the runtime
/// and no more, and it may be asked while a stream is being captured.
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
