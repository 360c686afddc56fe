// x runs down the column, so neighbouring lanes read different rows. See tests/exercises/puzzle3_bias.cpp for
// the task.
// > puzzle3_bias: right     reads 25.0 lines of 128 bytes each (best 2)
// > puzzle3_bias: one step is left: let neighbouring lanes read neighbouring elements
#include "gpu.h"

__global__ void bias_kernel(Float* y, const Float* x, const Float* b, int rows, int columns) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  const int column = blockIdx.y * blockDim.y + threadIdx.y;
  if (row < rows && column < columns) y[row * columns + column] = x[row * columns + column] + b[column];
}

void add_bias(Float* y, const Float* x, const Float* b, int rows, int columns) {
  hipLaunchKernelGGL(bias_kernel, dim3((rows + 31) / 32, (columns + 7) / 8), dim3(32, 8), 0, 0, y, x, b, rows,
                     columns);
}
