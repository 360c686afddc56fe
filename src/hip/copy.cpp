#include "hip/copy.h"

#include "hip/early_start.h"

namespace hipgpt::hip {

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) copy_kernel(int32_t* pinned, const int32_t* words, int count) {
  wait_for_earlier_kernels();
  const int i = blockIdx.x * kThreads + threadIdx.x;
  if (i < count) pinned[i] = words[i];
}

}  // namespace

void copy_to_pinned(const Stream& stream, int32_t* pinned, const int32_t* words, int count) {
  launch_early(stream, copy_kernel, dim3(ceil_div(count, kThreads)), dim3(kThreads), pinned, words, count);
}

}  // namespace hipgpt::hip
