// Exercise: the sum of a block.   Guide: chapter 11, src/platform/emulated/README.md
//
//   y[b] = sum of x[256 b] ... x[256 b + 255]     for b = 0 ... 3
//
// Each of 4 blocks has 256 threads. Add in shared memory, by halving: 128 threads add the upper half to the
// lower, then 64, then 32 ... Eight rounds, where one thread alone would need 255. Between rounds all threads
// meet, also those that no longer add, so the __syncthreads() must not be inside `if (t < half)`.
//
// Empty, it prints
// > puzzle6_block_sum: 4 of 4 elements are wrong; the first is y[0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh puzzle6_block_sum
#include "gpu.h"

__global__ void block_sum_kernel(Float* y, const Float* x) {
  HIPGPT_SHARED(Float, sums, [256]);
  // Write your code here.
}

void block_sum(Float* y, const Float* x) {
  hipLaunchKernelGGL(block_sum_kernel, dim3(4), dim3(256), 0, 0, y, x);
}
