// Exercise: shared memory and a barrier.   Guide: chapter 11, src/platform/emulated/README.md
//
//   y[i] = x[i] + x[right neighbour of i]     for i = 0 ... 511
//
// Each of 4 blocks has 128 elements and 128 threads. The right neighbour of a block's last element is the
// block's first. Read each element from memory once: put it into shared memory, where the neighbour finds it.
// A thread may only read what another thread wrote after a __syncthreads(), at which all threads of the block
// meet.
//
// Empty, it prints
// > puzzle5_neighbours: 512 of 512 elements are wrong; the first is y[0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh puzzle5_neighbours
#include "gpu.h"

__global__ void neighbours_kernel(Float* y, const Float* x) {
  HIPGPT_SHARED(Float, tile, [128]);
  // Write your code here.
}

void add_neighbours(Float* y, const Float* x) {
  hipLaunchKernelGGL(neighbours_kernel, dim3(4), dim3(128), 0, 0, y, x);
}
