// A butterfly: after each round, twice as many lanes share a sum. See tests/exercises/puzzle7_wave_sum.cpp
// for the task.
// > puzzle7_wave_sum: right     done
#include "gpu.h"

__global__ void wave_sum_kernel(Float* y, const Float* x) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  float sum = x[i];
  for (int distance = warpSize / 2; distance > 0; distance /= 2) sum += __shfl_xor(sum, distance);
  if (i % warpSize == 0) y[i / warpSize] = sum;
}

void wave_sum(Float* y, const Float* x) {
  hipLaunchKernelGGL(wave_sum_kernel, dim3(2), dim3(256), 0, 0, y, x);
}
