// Exercise: one lane an element.   Guide: chapter 11, src/platform/emulated/README.md
//
//   y[i] = 2 x[i]     for i = 0 ... 63
//
// The launch starts one block of 64 threads. All of them run the kernel; they differ only in threadIdx.x,
// which is 0 to 63. One line is enough.
//
// Empty, it prints
// > puzzle1_map: 64 of 64 elements are wrong; the first is y[0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh puzzle1_map
#include "gpu.h"

__global__ void map_kernel(Float* y, const Float* x) {
  // Write your code here.
}

void map(Float* y, const Float* x) {
  hipLaunchKernelGGL(map_kernel, dim3(1), dim3(64), 0, 0, y, x);
}
