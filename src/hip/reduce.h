// Sums and maxima over lanes, teams and blocks, each in a fixed order: the same bits in every run.
#pragma once

#include "hip/kernel.h"

namespace hipgpt::hip {

/// Lanes of a team, the unit in which kernels share out rows: a wave of 32, or half a wave of 64. So a team
/// reduces by shuffles whatever the wave.
constexpr int kTeam = 32;

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

/// f of the values of kLanes neighbouring lanes, in each of them: the one butterfly of src/hip. Lane l meets
/// lane l xor distance, the farthest first.
template <int kLanes, typename T, typename F>
__device__ inline T reduce_lanes(T value, F f) {
  static_assert(kLanes <= kWaveSize && (kLanes & (kLanes - 1)) == 0);
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2) value = f(value, __shfl_xor(value, distance));
  return value;
}

/// f of the values of all threads of a one-dimensional block, in every thread. `identity` is f's. Every
/// thread must call it, and it begins and ends with a barrier, so calls may follow each other.
template <int kThreads, typename T, typename F>
__device__ inline T reduce_block(T value, T identity, F f) {
  static_assert(kThreads % 64 == 0 && kThreads <= 1024, "a block is whole waves of either size");
  constexpr int kWaves = kThreads / kWaveSize;
  HIPGPT_SHARED(T, partial, [kWaves]);
  const int lane = threadIdx.x % kWaveSize, wave = threadIdx.x / kWaveSize;
  value = reduce_lanes<kWaveSize>(value, f);
  __syncthreads();  // whoever used `partial` before is done
  if (lane == 0) partial[wave] = value;
  __syncthreads();
  // A block has at most 32 waves: one wave holds them all, at either size.
  return reduce_lanes<kWaveSize>(lane < kWaves ? partial[lane] : identity, f);
}

template <int kThreads, typename T>
__device__ inline T block_sum(T value) {
  return reduce_block<kThreads>(value, T(0), Add());
}

/// total + first[0] + first[stride] + ...: `count` partial sums, added in their order.
template <typename T, typename Index>
__device__ inline T add_in_order(T total, const T* first, int count, Index stride) {
#pragma unroll 8
  for (int i = 0; i < count; ++i) total = total + first[i * stride];
  return total;
}

/// The sums over the kThreads / kColumns rows of threads that a block forms, of one value for each of its
/// kColumns columns: in the threads of row 0 alone, the others keep their own.
template <int kThreads, int kColumns, typename T>
__device__ inline T sum_thread_rows(T value) {
  constexpr int kRows = kThreads / kColumns;
  HIPGPT_SHARED(T, rows, [kRows][kColumns]);
  const int row = threadIdx.x / kColumns, column = threadIdx.x % kColumns;
  __syncthreads();  // the last call's values have been read
  rows[row][column] = value;
  __syncthreads();
  return row == 0 ? add_in_order(value, &rows[1][column], kRows - 1, kColumns) : value;
}

}  // namespace hipgpt::hip
