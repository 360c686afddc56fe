// Exercise: more elements than threads.   Guide: chapter 11, src/platform/emulated/README.md
//
//   y[i] = x[i] x[i]     for i = 0 ... n-1,   n = 10000
//
// The launch starts 2 blocks of 128 threads, whatever n. So each thread takes about 40 elements in a loop.
// Which 40? If a thread takes 40 neighbours, the lanes of a wave read 40 elements apart. Let the wave read
// neighbours in each round. gridDim.x is the number of blocks.
//
// Empty, it prints
// > puzzle4_stride: 10000 of 10000 elements are wrong; the first is y[0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh puzzle4_stride
#include "gpu.h"

__global__ void stride_kernel(Float* y, const Float* x, int n) {
  // Write your code here.
}

void square(Float* y, const Float* x, int n) {
  hipLaunchKernelGGL(stride_kernel, dim3(2), dim3(128), 0, 0, y, x, n);
}
