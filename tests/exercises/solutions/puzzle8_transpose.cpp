// Rows of 33 words put the words of a column into different banks. See tests/exercises/puzzle8_transpose.cpp
// for the task.
// > writes  2.0 lines of 128 bytes each (best 2), shared memory takes  1.0 turns each (best 1)     done
#include "gpu.h"

__global__ void transpose_kernel(Float* y, const Float* x, int rows, int columns) {
  HIPGPT_SHARED(Float, tile, [32][33]);
  const int row = blockIdx.y * 32, column = blockIdx.x * 32;
  for (int i = threadIdx.y; i < 32; i += 8)
    tile[i][threadIdx.x] = x[(row + i) * columns + column + threadIdx.x];
  __syncthreads();
  for (int i = threadIdx.y; i < 32; i += 8) y[(column + i) * rows + row + threadIdx.x] = tile[threadIdx.x][i];
}

void transpose(Float* y, const Float* x, int rows, int columns) {
  hipLaunchKernelGGL(transpose_kernel, dim3(columns / 32, rows / 32), dim3(32, 8), 0, 0, y, x, rows, columns);
}
