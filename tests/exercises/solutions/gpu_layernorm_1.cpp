// A thread takes a row. In each round of a loop, the 64 lanes of a wave read 64 different rows. See
// tests/exercises/gpu_layernorm.cpp for the task.
// > gpu_layernorm: right     reads 50.0 lines of 128 bytes each (best 2), each x 3.0 times
// > gpu_layernorm: one step is left: let the lanes of a wave read neighbours of one row
#include "gpu.h"

__global__ void layernorm_kernel(Float* y, const Float* x, const Float* w, const Float* b, int rows, int E) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  x += row * E;
  y += row * E;
  float sum = 0, squares = 0;
  for (int e = 0; e < E; ++e) sum += x[e];
  const float mean = sum / E;
  for (int e = 0; e < E; ++e) {
    const float d = x[e] - mean;
    squares += d * d;
  }
  const float rstd = 1 / sqrtf(squares / E + 1e-5f);
  for (int e = 0; e < E; ++e) y[e] = (x[e] - mean) * rstd * w[e] + b[e];
}

void layernorm(Float* y, const Float* x, const Float* w, const Float* b, int rows, int E) {
  hipLaunchKernelGGL(layernorm_kernel, dim3((rows + 63) / 64), dim3(64), 0, 0, y, x, w, b, rows, E);
}
