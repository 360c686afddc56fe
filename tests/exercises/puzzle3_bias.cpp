// Exercise: a matrix, and lanes side by side.   Guide: chapter 11, src/platform/emulated/README.md
//
//   y[r,c] = x[r,c] + b[c]     x, y [50,96] with element (r,c) at index r * columns + c; b [96]
//
// The grid and the blocks have two dimensions: threadIdx.x is 0 to 31 and threadIdx.y is 0 to 7. Neighbouring
// lanes of a wave differ in threadIdx.x. Let them take neighbouring elements in memory: each read of x then
// touches as few lines of 128 bytes as possible.
//
// Empty, it prints
// > puzzle3_bias: 4800 of 4800 elements are wrong; the first is y[0,0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh puzzle3_bias
#include "gpu.h"

__global__ void bias_kernel(Float* y, const Float* x, const Float* b, int rows, int columns) {
  // Write your code here.
}

void add_bias(Float* y, const Float* x, const Float* b, int rows, int columns) {
  // You may change the launch: blocks of 32 x 8 threads, and enough of them.
  hipLaunchKernelGGL(bias_kernel, dim3((columns + 31) / 32, (rows + 7) / 8), dim3(32, 8), 0, 0, y, x, b, rows,
                     columns);
}
