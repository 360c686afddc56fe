// Sums and maxima over lanes, teams and blocks. Each has a fixed order and gives the same bits in every run.
#pragma once

#include "hip/kernel.h"

namespace hipgpt::hip {

/// The lanes of a team. Kernels distribute rows to teams. A team is a wave of 32 lanes or half a wave of 64,
/// so it can reduce by shuffles at either wave size.
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

/// Reduces the values of kLanes lanes with f, which are neighbours or kStride lanes apart; each of them
/// receives the result. This is the only butterfly in src/hip. Lane l combines with lane l xor distance, the
/// largest distance first.
template <int kLanes, int kStride = 1, typename T, typename F>
__device__ inline T reduce_lanes(T value, F f) {
  static_assert(kLanes * kStride <= kWaveSize && (kLanes & (kLanes - 1)) == 0);
#pragma unroll
  for (int distance = kLanes / 2; distance > 0; distance /= 2)
    value = f(value, __shfl_xor(value, distance * kStride));
  return value;
}

/// Reduces the values of all threads of a one-dimensional block with f, whose identity is `identity`. Every
/// thread must call it, and receives the result. Barriers separate its uses of shared memory, so calls may
/// follow each other.
template <int kThreads, typename T, typename F>
__device__ inline T reduce_block(T value, T identity, F f) {
  static_assert(kThreads % 64 == 0 && kThreads <= 1024, "a block is whole waves of either size");
  constexpr int kWaves = kThreads / kWaveSize;
  HIPGPT_SHARED(T, partial, [kWaves]);
  const int lane = threadIdx.x % kWaveSize, wave = threadIdx.x / kWaveSize;
  value = reduce_lanes<kWaveSize>(value, f);
  __syncthreads();  // earlier reads of `partial` are done
  if (lane == 0) partial[wave] = value;
  __syncthreads();
  // A block has at most 32 waves, so the lanes of one wave can hold all partial results.
  return reduce_lanes<kWaveSize>(lane < kWaves ? partial[lane] : identity, f);
}

template <int kThreads, typename T>
__device__ inline T block_sum(T value) {
  return reduce_block<kThreads>(value, T(0), Add());
}

/// Returns total + first[0] + first[stride] + ..., with `count` partial sums added in this order.
template <typename T, typename Index>
__device__ inline T add_in_order(T total, const T* first, int count, Index stride) {
#pragma unroll 8
  for (int i = 0; i < count; ++i) total = total + first[i * stride];
  return total;
}

/// The threads of a block form kThreads / kColumns rows of kColumns. The threads of row 0 receive the sums of
/// their columns; other threads get their own value back.
template <int kThreads, int kColumns, typename T>
__device__ inline T sum_thread_rows(T value) {
  constexpr int kRows = kThreads / kColumns;
  HIPGPT_SHARED(T, rows, [kRows][kColumns]);
  const int row = threadIdx.x / kColumns, column = threadIdx.x % kColumns;
  __syncthreads();  // the values of the previous call have been read
  rows[row][column] = value;
  __syncthreads();
  return row == 0 ? add_in_order(value, &rows[1][column], kRows - 1, kColumns) : value;
}

}  // namespace hipgpt::hip
