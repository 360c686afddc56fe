// Exercise: many blocks, and threads without work.   Guide: chapter 11, src/platform/emulated/README.md
//
//   y[i] = 2 x[i]     for i = 0 ... n-1,   n = 1000
//
// Blocks have 256 threads. Four blocks are too many by 24 threads, and three are too few. A thread's element
// follows from blockIdx.x, blockDim.x (256) and threadIdx.x. The 24 threads must not write: the emulated GPU
// stops at a write beyond y.
//
// Empty, it prints
// > puzzle2_guard: 1000 of 1000 elements are wrong; the first is y[0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh puzzle2_guard
#include "gpu.h"

__global__ void guard_kernel(Float* y, const Float* x, int n) {
  // Write your code here.
}

void guard(Float* y, const Float* x, int n) {
  hipLaunchKernelGGL(guard_kernel, dim3((n + 255) / 256), dim3(256), 0, 0, y, x, n);
}
