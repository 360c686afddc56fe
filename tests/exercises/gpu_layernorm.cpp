// Exercise: LayerNorm, first right and then in 2 lines.   Guide: chapter 12, src/hip/README.md
//
//   y[i,e] = (x[i,e] - mean_i) rstd_i w[e] + b[e]
//   mean_i = sum_e x[i,e] / E,   rstd_i = 1 / sqrt(sum_e (x[i,e] - mean_i)^2 / E + 1e-5)
//
// Shapes: x, y [rows,E] with element (i,e) at index i * E + e; w, b [E]. Here rows = 100 and E = 128.
//   1. Make it right: a thread takes a row, with the loops of the CPU. The launch below is for this step.
//   2. Make it 2 lines: a wave takes a row, and lane l takes elements l, l + warpSize ... The lanes add their
//      parts with __shfl_xor, as in puzzle7_wave_sum. Four waves of 64 make a block of 256 threads:
//      dim3((rows + 3) / 4), dim3(256).
//
// Empty, it prints
// > gpu_layernorm: 12800 of 12800 elements are wrong; the first is y[0,0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh gpu_layernorm
#include "gpu.h"

__global__ void layernorm_kernel(Float* y, const Float* x, const Float* w, const Float* b, int rows, int E) {
  // Write your code here.
}

void layernorm(Float* y, const Float* x, const Float* w, const Float* b, int rows, int E) {
  hipLaunchKernelGGL(layernorm_kernel, dim3((rows + 63) / 64), dim3(64), 0, 0, y, x, w, b, rows, E);
}
