// The stride of the loop is the number of all threads. See tests/exercises/puzzle4_stride.cpp for the task.
// > puzzle4_stride: right     reads  2.0 lines of 128 bytes each (best 2)     done
#include "gpu.h"

__global__ void stride_kernel(Float* y, const Float* x, int n) {
  const int threads = gridDim.x * blockDim.x;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += threads) {
    const float v = x[i];
    y[i] = v * v;
  }
}

void square(Float* y, const Float* x, int n) {
  hipLaunchKernelGGL(stride_kernel, dim3(2), dim3(128), 0, 0, y, x, n);
}
