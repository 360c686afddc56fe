// A thread an element. See tests/exercises/gpu_matmul.cpp for the task.
// > gpu_matmul: right     a multiply-add reads 2.000 values from memory and 0.000 from shared memory
// > gpu_matmul: one step is left: let a value from memory serve a whole tile, in shared memory
#include "gpu.h"

__global__ void matmul_kernel(Float* c, const Float* a, const Float* b, int m, int n, int k) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  float sum = 0;
  for (int p = 0; p < k; ++p) sum += a[row * k + p] * b[p * n + column];
  c[row * n + column] = sum;
}

void matmul(Float* c, const Float* a, const Float* b, int m, int n, int k) {
  hipLaunchKernelGGL(matmul_kernel, dim3(n / 16, m / 16), dim3(16, 16), 0, 0, c, a, b, m, n, k);
}
