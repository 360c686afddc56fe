// A wave takes a row and keeps it in registers, at most 4 elements a lane, so memory is read once. See
// tests/exercises/gpu_layernorm.cpp for the task.
// > gpu_layernorm: right     reads  2.0 lines of 128 bytes each (best 2), each x 1.0 times     done
#include "gpu.h"

__device__ float wave_sum(float value) {
  for (int distance = warpSize / 2; distance > 0; distance /= 2) value += __shfl_xor(value, distance);
  return value;
}

__global__ void layernorm_kernel(Float* y, const Float* x, const Float* w, const Float* b, int rows, int E) {
  const int lane = threadIdx.x % warpSize;
  const int row = (blockIdx.x * blockDim.x + threadIdx.x) / warpSize;
  if (row >= rows) return;  // the whole wave
  float v[4], sum = 0, squares = 0;
  for (int i = 0; i < E / warpSize; ++i) sum += v[i] = x[row * E + lane + i * warpSize];
  const float mean = wave_sum(sum) / E;
  for (int i = 0; i < E / warpSize; ++i) squares += (v[i] - mean) * (v[i] - mean);
  const float rstd = 1 / sqrtf(wave_sum(squares) / E + 1e-5f);
  for (int i = 0; i < E / warpSize; ++i) {
    const int e = lane + i * warpSize;
    y[row * E + e] = (v[i] - mean) * rstd * w[e] + b[e];
  }
}

void layernorm(Float* y, const Float* x, const Float* w, const Float* b, int rows, int E) {
  hipLaunchKernelGGL(layernorm_kernel, dim3((rows + 3) / 4), dim3(256), 0, 0, y, x, w, b, rows, E);
}
