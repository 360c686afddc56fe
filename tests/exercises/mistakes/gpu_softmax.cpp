// Four waves in a block of 256 threads, taken for granted. With waves of 32 lanes there are eight, and the last
// four take rows of the next block.
// > With waves of 32 lanes: gpu_softmax: one step is left: give each row to one wave, whatever its size
#include "gpu.h"

__global__ void softmax_kernel(Float* y, const Float* x, int rows, int V) {
  const int lane = threadIdx.x % warpSize;
  const int row = blockIdx.x * 4 + threadIdx.x / warpSize;
  if (row >= rows) return;
  float m = -INFINITY, l = 0;
  for (int j = lane; j < V; j += warpSize) {
    const float v = x[row * V + j], top = fmaxf(m, v);
    l = l * expf(m - top) + expf(v - top);
    m = top;
  }
  float top = m;
  for (int distance = warpSize / 2; distance > 0; distance /= 2) top = fmaxf(top, __shfl_xor(top, distance));
  l *= expf(m - top);
  for (int distance = warpSize / 2; distance > 0; distance /= 2) l += __shfl_xor(l, distance);
  for (int j = lane; j < V; j += warpSize) y[row * V + j] = expf(x[row * V + j] - top) / l;
}

void softmax(Float* y, const Float* x, int rows, int V) {
  hipLaunchKernelGGL(softmax_kernel, dim3((rows + 3) / 4), dim3(256), 0, 0, y, x, rows, V);
}
