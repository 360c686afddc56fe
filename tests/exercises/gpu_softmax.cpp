// Exercise: softmax that reads its input twice.   Guide: chapter 14, src/hip/attention.md
//
//   y[i,j] = exp(x[i,j]) / sum_j exp(x[i,j])     x, y [rows,V];   here rows = 30 and V = 40
//
// Some x are near 1000, so the largest of the row must be subtracted first. The plain way reads x three
// times: for the largest, for the sum, for the result. Online softmax finds the largest m and the sum l of
// exp(x - m) in one pass: a new x > m first multiplies l by exp(m - x). A wave takes a row: a block of 256
// threads has 4 waves of 64 lanes, or 8 of 32. At the end, the lanes' (m, l) are combined into one: the
// largest of all m, and each l times exp(its m - the largest). Here 24 lanes of a wave of 64 have no element:
// which (m, l) stands for nothing, and what is exp(-inf - -inf)?
//
// Empty, it prints
// > gpu_softmax: 1200 of 1200 elements are wrong; the first is y[0,0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh gpu_softmax
#include "gpu.h"

__global__ void softmax_kernel(Float* y, const Float* x, int rows, int V) {
  // Write your code here.
}

void softmax(Float* y, const Float* x, int rows, int V) {
  hipLaunchKernelGGL(softmax_kernel, dim3((rows + 3) / 4), dim3(256), 0, 0, y, x, rows, V);
}
