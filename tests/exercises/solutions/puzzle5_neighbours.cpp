// Write, meet, read. See tests/exercises/puzzle5_neighbours.cpp for the task.
// > puzzle5_neighbours: right     reads each x 1.0 times     done
#include "gpu.h"

__global__ void neighbours_kernel(Float* y, const Float* x) {
  HIPGPT_SHARED(Float, tile, [128]);
  const int t = threadIdx.x, i = blockIdx.x * 128 + t;
  tile[t] = x[i];
  __syncthreads();
  y[i] = tile[t] + tile[(t + 1) % 128];
}

void add_neighbours(Float* y, const Float* x) {
  hipLaunchKernelGGL(neighbours_kernel, dim3(4), dim3(128), 0, 0, y, x);
}
