// Neighbours first: the same sum, but the lanes that add are 2, 4, 8 ... words apart, so they share banks.
// See tests/exercises/puzzle6_block_sum.cpp for the task.
// > puzzle6_block_sum: right     shared memory takes  3.3 turns each (best 1)
// > puzzle6_block_sum: one step is left: let the threads that add use neighbouring words
#include "gpu.h"

__global__ void block_sum_kernel(Float* y, const Float* x) {
  HIPGPT_SHARED(Float, sums, [256]);
  const int t = threadIdx.x;
  sums[t] = x[blockIdx.x * 256 + t];
  for (int distance = 1; distance < 256; distance *= 2) {
    __syncthreads();
    const int left = 2 * distance * t;
    if (left < 256) sums[left] += sums[left + distance];
  }
  if (t == 0) y[blockIdx.x] = sums[0];
}

void block_sum(Float* y, const Float* x) {
  hipLaunchKernelGGL(block_sum_kernel, dim3(4), dim3(256), 0, 0, y, x);
}
