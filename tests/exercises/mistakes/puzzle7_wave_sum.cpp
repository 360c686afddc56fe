// A wave of 64 lanes, taken for granted.
// > With waves of 32 lanes: puzzle7_wave_sum: 16 of 16 elements are wrong
#include "gpu.h"

__global__ void wave_sum_kernel(Float* y, const Float* x) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  float sum = x[i];
  for (int distance = 32; distance > 0; distance /= 2) sum += __shfl_xor(sum, distance);
  if (i % 64 == 0) y[i / 64] = sum;
}

void wave_sum(Float* y, const Float* x) {
  hipLaunchKernelGGL(wave_sum_kernel, dim3(2), dim3(256), 0, 0, y, x);
}
