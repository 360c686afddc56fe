// x runs along the row, because x numbers the lanes. See tests/exercises/puzzle3_bias.cpp for the task.
// > puzzle3_bias: right     reads  2.0 lines of 128 bytes each (best 2)     done
#include "gpu.h"

__global__ void bias_kernel(Float* y, const Float* x, const Float* b, int rows, int columns) {
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  if (row < rows && column < columns) y[row * columns + column] = x[row * columns + column] + b[column];
}

void add_bias(Float* y, const Float* x, const Float* b, int rows, int columns) {
  hipLaunchKernelGGL(bias_kernel, dim3((columns + 31) / 32, (rows + 7) / 8), dim3(32, 8), 0, 0, y, x, b, rows,
                     columns);
}
