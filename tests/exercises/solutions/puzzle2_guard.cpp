// The guard is the first line of most kernels. See tests/exercises/puzzle2_guard.cpp for the task.
// > puzzle2_guard: right     done
#include "gpu.h"

__global__ void guard_kernel(Float* y, const Float* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2 * x[i];
}

void guard(Float* y, const Float* x, int n) {
  hipLaunchKernelGGL(guard_kernel, dim3((n + 255) / 256), dim3(256), 0, 0, y, x, n);
}
