// There is no loop: the 64 threads are the loop. See tests/exercises/puzzle1_map.cpp for the task.
// > puzzle1_map: right     done
#include "gpu.h"

__global__ void map_kernel(Float* y, const Float* x) {
  y[threadIdx.x] = 2 * x[threadIdx.x];
}

void map(Float* y, const Float* x) {
  hipLaunchKernelGGL(map_kernel, dim3(1), dim3(64), 0, 0, y, x);
}
