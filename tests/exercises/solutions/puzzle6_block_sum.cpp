// A tree of eight rounds. See tests/exercises/puzzle6_block_sum.cpp for the task.
// > puzzle6_block_sum: right     shared memory takes  1.0 turns each (best 1)     done
#include "gpu.h"

__global__ void block_sum_kernel(Float* y, const Float* x) {
  HIPGPT_SHARED(Float, sums, [256]);
  const int t = threadIdx.x;
  sums[t] = x[blockIdx.x * 256 + t];
  for (int half = 128; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) sums[t] += sums[t + half];
  }
  if (t == 0) y[blockIdx.x] = sums[0];
}

void block_sum(Float* y, const Float* x) {
  hipLaunchKernelGGL(block_sum_kernel, dim3(4), dim3(256), 0, 0, y, x);
}
