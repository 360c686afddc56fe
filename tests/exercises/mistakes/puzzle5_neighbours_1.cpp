// A forgotten barrier that only another order of the threads reveals: thread t reads the word that thread t -
// 1 wrote.
// > puzzle5_neighbours: with the threads in ascending order it is right; is a __syncthreads() missing?
#include "gpu.h"

__global__ void neighbours_kernel(Float* y, const Float* x) {
  HIPGPT_SHARED(Float, tile, [128]);
  const int t = threadIdx.x, first = blockIdx.x * 128;
  if (t == 0) tile[0] = x[first];
  if (t < 127) tile[t + 1] = x[first + t + 1];
  y[first + t] = tile[t] + tile[(t + 1) % 128];
}

void add_neighbours(Float* y, const Float* x) {
  hipLaunchKernelGGL(neighbours_kernel, dim3(4), dim3(128), 0, 0, y, x);
}
