// A tile of 16 x 16 in shared memory. See tests/exercises/gpu_matmul.cpp for the task.
// > gpu_matmul: right     a multiply-add reads 0.125 values from memory and 2.000 from shared memory
// > gpu_matmul: one step is left: let a value from shared memory serve several sums of a thread
#include "gpu.h"

__global__ void matmul_kernel(Float* c, const Float* a, const Float* b, int m, int n, int k) {
  HIPGPT_SHARED(Float, tile_a, [16][16]);
  HIPGPT_SHARED(Float, tile_b, [16][16]);
  const int ty = threadIdx.y, tx = threadIdx.x, row = blockIdx.y * 16 + ty, column = blockIdx.x * 16 + tx;
  float sum = 0;
  for (int first = 0; first < k; first += 16) {
    tile_a[ty][tx] = a[row * k + first + tx];
    tile_b[ty][tx] = b[(first + ty) * n + column];
    __syncthreads();
    for (int p = 0; p < 16; ++p) sum += tile_a[ty][p] * tile_b[p][tx];
    __syncthreads();  // all have read these tiles
  }
  c[row * n + column] = sum;
}

void matmul(Float* c, const Float* a, const Float* b, int m, int n, int k) {
  hipLaunchKernelGGL(matmul_kernel, dim3(n / 16, m / 16), dim3(16, 16), 0, 0, c, a, b, m, n, k);
}
