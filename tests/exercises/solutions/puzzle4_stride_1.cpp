// Each thread takes neighbours, as a thread of a CPU would. See tests/exercises/puzzle4_stride.cpp for the
// task.
// > puzzle4_stride: right     reads 62.5 lines of 128 bytes each (best 2)
// > puzzle4_stride: one step is left: let neighbouring lanes read neighbouring elements in each round
#include "gpu.h"

__global__ void stride_kernel(Float* y, const Float* x, int n) {
  const int threads = gridDim.x * blockDim.x, each = (n + threads - 1) / threads;
  const int first = (blockIdx.x * blockDim.x + threadIdx.x) * each;
  for (int i = first; i < first + each && i < n; ++i) {
    const float v = x[i];
    y[i] = v * v;
  }
}

void square(Float* y, const Float* x, int n) {
  hipLaunchKernelGGL(stride_kernel, dim3(2), dim3(128), 0, 0, y, x, n);
}
