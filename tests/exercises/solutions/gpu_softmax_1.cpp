// Three passes. See tests/exercises/gpu_softmax.cpp for the task.
// > gpu_softmax: right     reads each x 3.0 times
// > gpu_softmax: one step is left: find the largest and the sum in one pass
#include "gpu.h"

__global__ void softmax_kernel(Float* y, const Float* x, int rows, int V) {
  const int lane = threadIdx.x % warpSize;
  const int row = (blockIdx.x * blockDim.x + threadIdx.x) / warpSize;
  if (row >= rows) return;  // the whole wave
  float m = -INFINITY, l = 0;
  for (int j = lane; j < V; j += warpSize) m = fmaxf(m, x[row * V + j]);
  for (int distance = warpSize / 2; distance > 0; distance /= 2) m = fmaxf(m, __shfl_xor(m, distance));
  for (int j = lane; j < V; j += warpSize) l += expf(x[row * V + j] - m);
  for (int distance = warpSize / 2; distance > 0; distance /= 2) l += __shfl_xor(l, distance);
  for (int j = lane; j < V; j += warpSize) y[row * V + j] = expf(x[row * V + j] - m) / l;
}

void softmax(Float* y, const Float* x, int rows, int V) {
  hipLaunchKernelGGL(softmax_kernel, dim3((rows + 3) / 4), dim3(256), 0, 0, y, x, rows, V);
}
