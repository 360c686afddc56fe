// Reads rows, writes columns. See tests/exercises/puzzle8_transpose.cpp for the task.
// > puzzle8_transpose: right     writes 32.0 lines of 128 bytes each (best 2)
// > puzzle8_transpose: one step is left: write rows of y, from a tile in shared memory
#include "gpu.h"

__global__ void transpose_kernel(Float* y, const Float* x, int rows, int columns) {
  const int column = blockIdx.x * 32 + threadIdx.x;
  for (int i = threadIdx.y; i < 32; i += 8) {
    const int row = blockIdx.y * 32 + i;
    y[column * rows + row] = x[row * columns + column];
  }
}

void transpose(Float* y, const Float* x, int rows, int columns) {
  hipLaunchKernelGGL(transpose_kernel, dim3(columns / 32, rows / 32), dim3(32, 8), 0, 0, y, x, rows, columns);
}
