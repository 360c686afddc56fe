// Products of tiles by ordinary multiplications, which every GPU supports and the emulated platform runs.
//
// Eight neighbouring lanes share their rows of the result. In each row, a lane holds pieces of neighbouring
// elements that are eight pieces apart. So the eight lanes read shared memory in whole lines of banks, and
// three shuffles reduce a row at either wave size. All three products read row-major tiles along their rows:
//   A B^T  reads a vec4 of inner indices from rows of A and of B: 4+4 reads for the 64 multiplications of a
//          4x4 piece
//   A B    reads a vec4 of inner indices from rows of A, then the corresponding four rows of B
//   A^T B  reads, for each inner index, pieces of A's row and pieces of B's row
#pragma once

#include "hip/reduce.h"
#include "hip/tile.h"

namespace hipgpt::hip {

constexpr int kRowLanes = 8;  ///< lanes that share their rows

/// c[r][0] += row a_row + r of A times rows b_row ... b_row + 3 of B, over kInner vec4: of A from a_vec, of B
/// from 0.
template <int kInner, int kRows, typename A, typename B>
__device__ inline void multiply_abt(vec4 (&c)[kRows], const A& a, int a_row, int a_vec, const B& b,
                                    int b_row) {
#pragma unroll 2
  for (int k = 0; k < kInner; ++k) {
    vec4 y[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) y[j] = b.at(b_row + j, k);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const vec4 x = a.at(a_row + r, a_vec + k);
#pragma unroll
      for (int j = 0; j < 4; ++j) c[r][j] = add_dot(c[r][j], x, y[j]);
    }
  }
}

/// c[r][q] += row a_row + r of A times the vec4 b_vec + 8 q of B, over all rows of B.
template <int kRows, int kVecs, typename A, typename B>
__device__ inline void multiply_ab(vec4 (&c)[kRows][kVecs], const A& a, int a_row, const B& b, int b_vec) {
#pragma unroll 1
  for (int k = 0; k < A::kRowVecs; ++k) {
    vec4 x[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) x[r] = a.at(a_row + r, k);
#pragma unroll
    for (int q = 0; q < kVecs; ++q) {
      vec4 y[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) y[j] = b.at(4 * k + j, b_vec + kRowLanes * q);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int j = 0; j < 4; ++j) add_scaled(c[r][q], x[r][j], y[j]);
      }
    }
  }
}

/// c[r][q] += column r of A's pieces times piece q of B, over the rows of both. A thread's pieces of A start
/// at column a_column and are kStepA columns apart. Its pieces of B start at b_column and are 8 pieces apart.
template <int kPieceA, int kStepA, int kUnroll, int kRows, int kPieces, int kPieceB, typename A, typename B>
__device__ __forceinline__ void multiply_atb(Vec<float, kPieceB> (&c)[kRows][kPieces], const A& a,
                                             int a_column, const B& b, int b_column) {
#pragma unroll kUnroll
  for (int k = 0; k < A::kRows; ++k) {
    Vec<float, kPieceA> x[kRows / kPieceA];
#pragma unroll
    for (int p = 0; p < kRows / kPieceA; ++p) x[p] = a.template piece<kPieceA>(k, a_column + p * kStepA);
#pragma unroll
    for (int q = 0; q < kPieces; ++q) {
      const Vec<float, kPieceB> y = b.template piece<kPieceB>(k, b_column + q * kRowLanes * kPieceB);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int e = 0; e < kPieceB; ++e) c[r][q][e] = fmaf(x[r / kPieceA][r % kPieceA], y[e], c[r][q][e]);
      }
    }
  }
}

/// The sums of a block's tile, kTM x kTN in each thread. The lanes of a team form 4 rows of 8.
template <typename Shape>
class PlainAccumulator {
  static constexpr int kPieceM = Shape::kTM < 4 ? Shape::kTM : 4, kPieceN = Shape::kTN < 4 ? Shape::kTN : 4;
  static constexpr int kPieces = Shape::kTN / kPieceN, kStepM = 4 * kPieceM;

 public:
  static constexpr int kPartM = 4 * Shape::kTM;  ///< rows of a team
  static constexpr int kBandM = kStepM;          ///< rows of a team in a band
  static constexpr int kBands = kPartM / kBandM;
  static constexpr int kStagePad = 1;  ///< vec4 between the rows of sums in shared memory

  __device__ PlainAccumulator() : sums_{} {
    const int team = threadIdx.x / kTeam, lane = threadIdx.x % kTeam;
    constexpr int kTeamsN = Shape::kN / (kRowLanes * Shape::kTN);
    part_ = team / kTeamsN;
    row_ = lane / kRowLanes * kPieceM;
    column_ = team % kTeamsN * kRowLanes * Shape::kTN + lane % kRowLanes * kPieceN;
  }

  /// Adds the products of one step along k, whose indices are the rows of both tiles.
  template <typename A, typename B>
  __device__ __forceinline__ void multiply(const A& a, const B& b) {
    // Unrolling all of k would need more registers than some GPUs have.
    multiply_atb<kPieceM, kStepM, 4>(sums_, a, part_ * kPartM + row_, b, column_);
  }

  /// Calls f(row, column, values) for each piece of a band. Rows are counted within the band, in which the
  /// parts of the teams follow each other.
  template <typename F>
  __device__ __forceinline__ void for_each(int band, const F& f) const {
#pragma unroll
    for (int i = 0; i < kBands; ++i) {
      if (i != band) continue;  // an index into registers must be a constant
#pragma unroll
      for (int r = 0; r < kPieceM; ++r) {
#pragma unroll
        for (int q = 0; q < kPieces; ++q)
          f(part_ * kBandM + row_ + r, column_ + q * kRowLanes * kPieceN, sums_[i * kPieceM + r][q]);
      }
    }
  }

 private:
  Vec<float, kPieceN> sums_[Shape::kTM][kPieces];
  int part_, row_, column_;
};

}  // namespace hipgpt::hip
