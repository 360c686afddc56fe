// What the attention kernels share: tiles in shared memory, how they are filled, and the three products of
// two tiles, each thread computing a piece of the result in its registers.
//
// The threads of a product form groups of 8: thread (ty, tx), tx < 8, holds a few rows (usually 4 ty ... 4
// ty+3) and of each the quads (four floats, one 16-byte access) tx, tx+8, ... Eight neighbouring lanes share
// their rows, so a row is reduced by three shuffles whatever the wave.
//
// A row-major tile serves all three products, by reading quads along the inner dimension where it must:
//   A B^T  rows of A and of B, a quad of inner indices at a time: 4+4 reads for 64 multiply-adds of a 4x4
//   piece, A B    a quad of inner indices of A's rows, then the four rows of B below them, A^T B  for each
//   inner index a quad of A's row and quads of B's.
// Reading the same quad of rows 0, 4, 8, ... (as the lanes do in A B^T) would always meet the same banks; one
// quad of padding after every four rows moves each such row to banks of its own, and costs no instruction.
#pragma once

#include <string>

#include "error.h"
#include "hip/quads.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

constexpr int kGroup = 8;  ///< lanes that share their rows

__device__ inline float4 zero_quad() {
  return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
}

__device__ inline float4 scaled(float4 a, float s) {
  return make_float4(a.x * s, a.y * s, a.z * s, a.w * s);
}

/// sum += s a
__device__ inline void add_scaled(float4& sum, float s, float4 a) {
  sum.x = fmaf(s, a.x, sum.x);
  sum.y = fmaf(s, a.y, sum.y);
  sum.z = fmaf(s, a.z, sum.z);
  sum.w = fmaf(s, a.w, sum.w);
}

/// sum + a . b
__device__ inline float add_dot(float sum, float4 a, float4 b) {
  return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

/// f over the eight lanes of a group, in each of them.
template <typename F>
__device__ inline float group_reduce(float value, F f) {
#pragma unroll
  for (int distance = 1; distance < kGroup; distance *= 2) value = f(value, __shfl_xor(value, distance));
  return value;
}

/// A [rows, width] part of a matrix in device memory whose rows are `stride` floats apart.
template <typename Float>
struct Rows {
  Float* data;
  int stride, rows, width;
  bool by_quads;  ///< every row begins at a multiple of 16 bytes and is a multiple of four floats long

  /// Four floats from `column` on, a multiple of 4; zeros outside.
  __device__ float4 load(int row, int column) const {
    if (row >= rows || column >= width) return zero_quad();
    const float* p = data + static_cast<int64_t>(row) * stride + column;
    if (by_quads) return *reinterpret_cast<const float4*>(p);
    return make_float4(p[0], column + 1 < width ? p[1] : 0.0f, column + 2 < width ? p[2] : 0.0f,
                       column + 3 < width ? p[3] : 0.0f);
  }

  /// Nothing is written outside.
  __device__ void store(int row, int column, float4 v) const {
    if (row >= rows || column >= width) return;
    float* p = data + static_cast<int64_t>(row) * stride + column;
    if (by_quads) {
      *reinterpret_cast<float4*>(p) = v;
      return;
    }
    p[0] = v.x;
    if (column + 1 < width) p[1] = v.y;
    if (column + 2 < width) p[2] = v.z;
    if (column + 3 < width) p[3] = v.w;
  }
};

/// [kRows, kColumns] floats in shared memory.
template <int kRows_, int kColumns_>
struct Tile {
  static constexpr int kRows = kRows_;
  static constexpr int kRowQuads = kColumns_ / 4;         ///< quads of a row
  static constexpr int kQuads = kRows * kRowQuads;        ///< that hold data
  static constexpr int kSize = kQuads + (kRows + 3) / 4;  ///< in quads, with the padding
  static_assert(kColumns_ % 4 == 0 && kRows % 4 == 0, "a tile is made of quads in both directions");

  float4* memory;

  __device__ float4& at(int row, int quad) const { return memory[row * kRowQuads + (row >> 2) + quad]; }
};

/// The part of a tile that a thread of kThreads copies: on its way in registers, so that the memory's latency
/// passes while something else is computed.
template <typename T, int kThreads>
struct TileCopy {
  static constexpr int kCount = T::kQuads / kThreads;
  static_assert(T::kQuads % kThreads == 0, "every thread copies equally much");
  float4 quads[kCount];

  static __device__ int row(int i) { return (threadIdx.x + i * kThreads) / T::kRowQuads; }
  static __device__ int quad(int i) { return (threadIdx.x + i * kThreads) % T::kRowQuads; }

  template <typename Float>
  __device__ void load(const Rows<Float>& source, int row0, int column0) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) quads[i] = source.load(row0 + row(i), column0 + 4 * quad(i));
  }

  __device__ void store(const T& tile) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) tile.at(row(i), quad(i)) = quads[i];
  }
};

/// tile = rows from `first` on.
template <int kThreads, typename T, typename Float>
__device__ inline void copy_tile(const T& tile, const Rows<Float>& source, int first) {
#pragma unroll 4
  for (int i = threadIdx.x; i < T::kQuads; i += kThreads) {
    const int row = i / T::kRowQuads, quad = i % T::kRowQuads;
    tile.at(row, quad) = source.load(first + row, 4 * quad);
  }
}

/// c[r][.] += rows a_row+r of A times rows b_row ... b_row+3 of B, over kInner quads.
template <int kInner, int kRows, typename A, typename B>
__device__ inline void multiply_abt(float4 (&c)[kRows], const A& a, int a_row, int a_quad, const B& b,
                                    int b_row) {
#pragma unroll 2
  for (int k = 0; k < kInner; ++k) {
    const float4 b0 = b.at(b_row, k), b1 = b.at(b_row + 1, k), b2 = b.at(b_row + 2, k),
                 b3 = b.at(b_row + 3, k);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float4 x = a.at(a_row + r, a_quad + k);
      c[r].x = add_dot(c[r].x, x, b0);
      c[r].y = add_dot(c[r].y, x, b1);
      c[r].z = add_dot(c[r].z, x, b2);
      c[r].w = add_dot(c[r].w, x, b3);
    }
  }
}

/// c[r][q] += row a_row+r of A times quads b_quad + 8 q of B, over all rows of B.
template <int kRows, int kQuads, typename A, typename B>
__device__ inline void multiply_ab(float4 (&c)[kRows][kQuads], const A& a, int a_row, const B& b,
                                   int b_quad) {
#pragma unroll 1
  for (int k = 0; k < A::kRowQuads; ++k) {
    float4 x[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) x[r] = a.at(a_row + r, k);
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const float4 b0 = b.at(4 * k, b_quad + kGroup * q), b1 = b.at(4 * k + 1, b_quad + kGroup * q);
      const float4 b2 = b.at(4 * k + 2, b_quad + kGroup * q), b3 = b.at(4 * k + 3, b_quad + kGroup * q);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        add_scaled(c[r][q], x[r].x, b0);
        add_scaled(c[r][q], x[r].y, b1);
        add_scaled(c[r][q], x[r].z, b2);
        add_scaled(c[r][q], x[r].w, b3);
      }
    }
  }
}

/// c[r][q] += column 4 a_quad + r of A times quads b_quad + 8 q of B, over all rows of both.
template <int kQuads, typename A, typename B>
__device__ inline void multiply_atb(float4 (&c)[4][kQuads], const A& a, int a_quad, const B& b, int b_quad) {
#pragma unroll 2
  for (int k = 0; k < A::kRows; ++k) {
    const float4 x = a.at(k, a_quad);
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const float4 y = b.at(k, b_quad + kGroup * q);
      add_scaled(c[0][q], x.x, y);
      add_scaled(c[1][q], x.y, y);
      add_scaled(c[2][q], x.z, y);
      add_scaled(c[3][q], x.w, y);
    }
  }
}

inline void check_head_size(int head_size) {
  if (head_size >= 1 && head_size <= kMaxHeadSize) return;
  throw Error("attention: the GPU kernels take a head size from 1 to " + std::to_string(kMaxHeadSize) +
              ", not " + std::to_string(head_size));
}

}  // namespace hipgpt::hip
