// Exercise: the sum of a wave, without shared memory.   Guide: chapter 11, src/platform/emulated/README.md
//
//   y[w] = sum of the elements of wave w     each lane has one element, x [512]
//
// The lanes of a wave can read each other's registers: __shfl_xor(value, distance) returns the value of the
// lane whose number differs in the bit `distance`. If every lane adds what it receives at distance warpSize /
// 2, then / 4 ... 1, every lane has the sum. warpSize is 64 on AMD's CDNA and 32 elsewhere; the check runs
// both.
//
// Empty, it prints
// > puzzle7_wave_sum: 8 of 8 elements are wrong; the first is y[0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh puzzle7_wave_sum
#include "gpu.h"

__global__ void wave_sum_kernel(Float* y, const Float* x) {
  // Write your code here.
}

void wave_sum(Float* y, const Float* x) {
  hipLaunchKernelGGL(wave_sum_kernel, dim3(2), dim3(256), 0, 0, y, x);
}
