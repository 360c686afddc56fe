// What every kernel file includes: the HIP runtime of the platform, the wave, shared memory and reductions.
//
// A kernel is written once for three platforms (src/platform). What differs between them has its one place
// here: how many lanes a wave has, how shared memory is declared, and what a launch bound means.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

#include "philox.h"

// HIPGPT_SHARED(float, tile, [16][17]) declares `float tile[16][17]` in the memory that the threads of a
// block share, at a multiple of 16 bytes, so that four floats can be read at once. An emulated platform
// brings its own.
#ifndef HIPGPT_SHARED
#define HIPGPT_SHARED(type, name, dims) __shared__ __attribute__((aligned(16))) type name dims
#endif

// __launch_bounds__ of a kernel of which `blocks` are to fit on a compute unit side by side. AMD's compiler
// takes the second number of it for waves, and a limit on registers that shared memory has set already.
#if defined(__HIP_PLATFORM_AMD__)
#define HIPGPT_LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads)
#else
#define HIPGPT_LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#endif

namespace hipgpt::hip {

/// Lanes of a wave, for device code alone: 64 on CDNA (gfx9), 32 on RDNA and elsewhere. ROCm 7 no longer has
/// it as a constant. Launch geometry must not depend on it: blocks are multiples of 64 threads.
#if defined(HIPGPT_WAVE_SIZE)
constexpr int kWaveSize = HIPGPT_WAVE_SIZE;
#elif defined(__GFX8__) || defined(__GFX9__)
constexpr int kWaveSize = 64;
#else
constexpr int kWaveSize = 32;
#endif

/// f of the values of all lanes of the wave, in every lane: a butterfly, so the order never changes.
template <typename T, typename F>
__device__ inline T wave_reduce(T value, F f) {
#pragma unroll
  for (int distance = kWaveSize / 2; distance > 0; distance /= 2)
    value = f(value, __shfl_xor(value, distance));
  return value;
}

struct Add {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Max {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

/// f of the values of all threads of a one-dimensional block, in every thread. `identity` is f's. Every
/// thread must call it, and it begins and ends with a barrier, so calls may follow each other.
template <int kThreads, typename T, typename F>
__device__ inline T block_reduce(T value, T identity, F f) {
  static_assert(kThreads % 64 == 0 && kThreads <= 1024, "a block is whole waves of either size");
  constexpr int kWaves = kThreads / kWaveSize;
  HIPGPT_SHARED(T, partial, [kWaves]);
  const int lane = threadIdx.x % kWaveSize, wave = threadIdx.x / kWaveSize;
  value = wave_reduce(value, f);
  __syncthreads();  // whoever used `partial` before is done
  if (lane == 0) partial[wave] = value;
  __syncthreads();
  // A block has at most 32 waves: one wave holds them all, at either size.
  return wave_reduce(lane < kWaves ? partial[lane] : identity, f);
}

template <int kThreads, typename T>
__device__ inline T block_sum(T value) {
  return block_reduce<kThreads>(value, T(0), Add());
}

}  // namespace hipgpt::hip
