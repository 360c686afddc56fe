// A forgotten guard: 24 threads write beyond the end of y.
// > guard_kernel: thread (232,0) of block (3,0) reads element 1000 of an array of 1000
#include "gpu.h"

__global__ void guard_kernel(Float* y, const Float* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = 2 * x[i];
}

void guard(Float* y, const Float* x, int n) {
  hipLaunchKernelGGL(guard_kernel, dim3((n + 255) / 256), dim3(256), 0, 0, y, x, n);
}
