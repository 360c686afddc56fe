// Early start: a kernel begins while the kernels before it still run (NVIDIA's programmatic dependent launch, from
// compute capability 9.0). In a chain of short kernels, the next one is then resident and has fetched its weights
// into the L2 cache when its input is ready, which saves the microsecond or two of a launch.
//
// A kernel launched by launch_early() must call wait_for_earlier_kernels() in every thread before it reads or
// writes anything in memory that its result depends on. Before that it may prefetch, and read what tells it where:
// a hint cannot be wrong. A kernel that still runs may yet write there, so the kernel reads it again afterwards.
// Without such a GPU, all of this does nothing.
#pragma once

#include "hip/launch.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

/// Lets the next kernel of the stream start, once all blocks have called it.
__device__ inline void let_next_kernel_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

/// Returns when the earlier kernels of the stream have ended and what they wrote can be read.
__device__ inline void wait_for_earlier_kernels() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Starts to fetch `bytes` bytes into the L2 cache. The kLanes lanes that call it, with their number, share the
/// lines.
template <int kLanes>
__device__ inline void prefetch([[maybe_unused]] const void* memory, [[maybe_unused]] int bytes,
                                [[maybe_unused]] int lane) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  constexpr int kLine = 128;
#pragma unroll 1
  for (int at = lane * kLine; at < bytes; at += kLanes * kLine)
    asm volatile("prefetch.global.L2 [%0];" ::"l"(static_cast<const char*>(memory) + at));
#endif
}

/// Launches a kernel that waits for the earlier ones itself.
template <typename... Parameters, typename... Arguments>
void launch_early(const Stream& stream, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                  Arguments... arguments) {
#if defined(__CUDACC__)
  if (stream.wgmma) {  // compiled for 9.0
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.stream = stream.handle;
    config.attrs = &early;
    config.numAttrs = 1;
    return HIP_CHECK(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
  }
#endif
  hipLaunchKernelGGL(kernel, grid, block, 0, stream.handle, arguments...);
  HIP_CHECK(hipGetLastError());
}

}  // namespace hipgpt::hip
