// One tile of C = op(A) op(B): how a block of threads computes kM x kN elements.
//
// The block walks along k in steps of kK. At each step kM x kK of A and kK x kN of B go to shared memory, k
// outermost whatever their order in memory, and every thread multiplies kTM of A with kTN of B for each k. A
// value fetched once from memory serves kN (or kM) multiplications, one read from shared memory kTN (or kTM).
// While a step is computed the next one is on its way into registers, and shared memory holds two steps, so
// that one barrier a step is enough.
//
// Who multiplies is LaneSums, every thread for itself, or CoreSums, a wave together on its matrix cores. What
// a block reads and stores is the same.
#pragma once

#include "hip/matrix_core.h"

namespace hipgpt::hip {

/// kM x kN is a block's tile, kK its step along k, kTM x kTN a thread's part. kOnCores: by matrix cores,
/// where there are any.
template <int kM_, int kN_, int kK_, int kTM_, int kTN_, bool kOnCores_>
struct TileShape {
  static constexpr int kM = kM_, kN = kN_, kK = kK_, kTM = kTM_, kTN = kTN_;
  static constexpr bool kOnCores = kOnCores_ && MatrixCore::kPresent;
  static constexpr int kPad = kOnCores ? MatrixCore::kBankShift : 4;
  static constexpr int kPieceM = kTM < 4 ? kTM : 4, kPieceN = kTN < 4 ? kTN : 4;
  static constexpr int kGroupM = 4 * kTM, kGroupN = 8 * kTN;
  static constexpr int kThreads = 32 * (kM / kGroupM) * (kN / kGroupN);
  static_assert(kM % kGroupM == 0 && kN % kGroupN == 0 && kK % 4 == 0);
};

/// Brings one side's tile, kSide x kK, from memory into registers and from there to shared memory. kAlongK:
/// neighbours in memory are neighbours along k, so the tile is transposed on its way. kVector: rows begin at
/// multiples of 16 bytes and both extents are multiples of 4.
///
/// Beyond the end of k it reads zeros, which add nothing. Beyond the edge of C it reads whatever is at the
/// edge: what becomes of that is never stored.
template <int kSide, int kK, int kStride, int kThreads, bool kAlongK, bool kVector>
class TileLoader {
 public:
  /// For rows (columns) [first, first + kSide) of `extent`, from k = k_begin on; `ld` floats lie between
  /// neighbours in the other direction.
  __device__ TileLoader(const float* source, int ld, int first, int extent, int k_begin)
      : step_(kAlongK ? kK : kK * ld) {
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      const int side = first + piece_side(i), k = k_begin + piece_k(i);
      const int inside = side < extent ? side : extent - (kAlongK || !kVector ? 1 : 4);
      left_[i] = extent - inside;
      source_[i] =
          source + (kAlongK ? static_cast<int64_t>(inside) * ld + k : static_cast<int64_t>(k) * ld + inside);
    }
  }

  /// Starts to read the tile at hand, of which k_left remain along k, and goes on to the next.
  __device__ void fetch(int k_left) {
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      values_[i] = read(source_[i], k_left - piece_k(i), left_[i]);
      source_[i] += step_;
    }
  }

  __device__ void store(float (*tile)[kStride]) const {
#pragma unroll
    for (int i = 0; i < kPieces; ++i) {
      const int side = piece_side(i), k = piece_k(i);
      if constexpr (kAlongK) {
        tile[k][side] = values_[i].x;
        tile[k + 1][side] = values_[i].y;
        tile[k + 2][side] = values_[i].z;
        tile[k + 3][side] = values_[i].w;
      } else {
        *reinterpret_cast<float4*>(&tile[k][side]) = values_[i];
      }
    }
  }

 private:
  static constexpr int kPieces = kSide * kK / 4 / kThreads;  // float4s of a thread
  static_assert(kPieces >= 1 && kPieces * 4 * kThreads == kSide * kK);

  __device__ static int piece_side(int i) {
    const int piece = threadIdx.x + i * kThreads;
    return kAlongK ? piece / (kK / 4) : piece % (kSide / 4) * 4;
  }
  __device__ static int piece_k(int i) {
    const int piece = threadIdx.x + i * kThreads;
    return kAlongK ? piece % (kK / 4) * 4 : piece / (kSide / 4);
  }

  /// Four floats, of which the first `k_left` (all or none, if k goes the other way) and `side_left` exist.
  __device__ static float4 read(const float* from, int k_left, int side_left) {
    if constexpr (kVector) {
      return k_left > 0 ? *reinterpret_cast<const float4*>(from) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    } else {
      const int count = kAlongK ? k_left : (k_left > 0 ? side_left : 0);
      return make_float4(count > 0 ? from[0] : 0.0f, count > 1 ? from[1] : 0.0f, count > 2 ? from[2] : 0.0f,
                         count > 3 ? from[3] : 0.0f);
    }
  }

  const float* source_[kPieces];
  float4 values_[kPieces];
  int left_[kPieces];
  int step_;
};

/// kCount floats from shared memory: 2, or a multiple of 4 in pieces that are `distance` apart.
template <int kCount>
__device__ inline void read_fragment(float (&fragment)[kCount], const float* from, int distance) {
  if constexpr (kCount == 2) {
    const float2 v = *reinterpret_cast<const float2*>(from);
    fragment[0] = v.x, fragment[1] = v.y;
  } else {
#pragma unroll
    for (int piece = 0; piece < kCount / 4; ++piece) {
      const float4 v = *reinterpret_cast<const float4*>(from + piece * distance);
      fragment[4 * piece] = v.x, fragment[4 * piece + 1] = v.y;
      fragment[4 * piece + 2] = v.z, fragment[4 * piece + 3] = v.w;
    }
  }
}

/// A thread's sums of a tile by ordinary multiplications. Threads form groups of 32, each 4 wide along m and
/// 8 along n. A thread's elements come in pieces of up to 4 x 4 that are a group's width apart, so that the
/// group reads shared memory in whole rows of banks.
template <typename Shape>
class LaneSums {
 public:
  static constexpr int kPiece = Shape::kPieceN;  // neighbours in C

  __device__ LaneSums() {
    const int group = threadIdx.x / 32, lane = threadIdx.x % 32;
    constexpr int kGroupsN = Shape::kN / Shape::kGroupN;
    m_ = group / kGroupsN * Shape::kGroupM + lane / 8 * Shape::kPieceM;
    n_ = group % kGroupsN * Shape::kGroupN + lane % 8 * Shape::kPieceN;
#pragma unroll
    for (int i = 0; i < Shape::kTM; ++i) {
#pragma unroll
      for (int j = 0; j < Shape::kTN; ++j) sum_[i][j] = 0.0f;
    }
  }

  /// Adds the products of one step along k.
  template <int kStrideA, int kStrideB>
  __device__ __forceinline__ void multiply_add(const float (*a)[kStrideA], const float (*b)[kStrideB]) {
#pragma unroll 4  // all of them at once would need more registers than some GPUs have
    for (int p = 0; p < Shape::kK; ++p) {
      float x[Shape::kTM], y[Shape::kTN];
      read_fragment(x, &a[p][m_], kDistanceM);
      read_fragment(y, &b[p][n_], kDistanceN);
#pragma unroll
      for (int i = 0; i < Shape::kTM; ++i) {
#pragma unroll
        for (int j = 0; j < Shape::kTN; ++j) sum_[i][j] = fmaf(x[i], y[j], sum_[i][j]);
      }
    }
  }

  /// Calls f(row, column, values) for every kPiece neighbours, counted from the tile's corner.
  template <typename F>
  __device__ __forceinline__ void for_each_piece(const F& f) const {
#pragma unroll
    for (int i = 0; i < Shape::kTM; ++i) {
#pragma unroll
      for (int j = 0; j < Shape::kTN; j += kPiece) {
        f(m_ + i / Shape::kPieceM * kDistanceM + i % Shape::kPieceM, n_ + j / kPiece * kDistanceN,
          &sum_[i][j]);
      }
    }
  }

 private:
  static constexpr int kDistanceM = 4 * Shape::kPieceM, kDistanceN = 8 * Shape::kPieceN;
  float sum_[Shape::kTM][Shape::kTN];
  int m_, n_;
};

/// A wave's sums of a tile by its matrix cores: a part of 64 rows, in atoms.
template <typename Shape, typename Core>
class CoreSums {
 public:
  static constexpr int kPiece = Core::kNeighbours;

  __device__ CoreSums() {
    const int wave = threadIdx.x / kWaveSize;
    m_ = wave % (Shape::kM / kPartM) * kPartM;
    n_ = wave / (Shape::kM / kPartM) * kPartN;
#pragma unroll
    for (int i = 0; i < kAtomsM; ++i) {
#pragma unroll
      for (int j = 0; j < kAtomsN; ++j) {
#pragma unroll
        for (int e = 0; e < Core::kSum; ++e) sum_[i][j][e] = 0.0f;
      }
    }
  }

  template <int kStrideA, int kStrideB>
  __device__ __forceinline__ void multiply_add(const float (*a)[kStrideA], const float (*b)[kStrideB]) {
#pragma unroll
    for (int p = 0; p < Shape::kK; p += Core::kK) {
      typename Core::Left left[kAtomsM];
      typename Core::Right right[kAtomsN];
#pragma unroll
      for (int i = 0; i < kAtomsM; ++i) {
#pragma unroll
        for (int e = 0; e < Core::kLeft; ++e) {
          left[i].set(e, a[p + Core::left_k(e)][m_ + i * Core::kM + Core::left_row(e)]);
        }
      }
#pragma unroll
      for (int j = 0; j < kAtomsN; ++j) {
#pragma unroll
        for (int e = 0; e < Core::kRight; ++e) {
          right[j].set(e, b[p + Core::right_k(e)][n_ + j * Core::kN + Core::right_column(e)]);
        }
      }
#pragma unroll
      for (int i = 0; i < kAtomsM; ++i) {
#pragma unroll
        for (int j = 0; j < kAtomsN; ++j) Core::multiply_add(sum_[i][j], left[i], right[j]);
      }
    }
  }

  template <typename F>
  __device__ __forceinline__ void for_each_piece(const F& f) const {
#pragma unroll
    for (int i = 0; i < kAtomsM; ++i) {
#pragma unroll
      for (int j = 0; j < kAtomsN; ++j) {
#pragma unroll
        for (int e = 0; e < Core::kSum; e += kPiece) {
          f(m_ + i * Core::kM + Core::sum_row(e), n_ + j * Core::kN + Core::sum_column(e), &sum_[i][j][e]);
        }
      }
    }
  }

 private:
  static constexpr int kPartM = 64, kPartN = Shape::kM * Shape::kN / (Shape::kThreads / kWaveSize) / kPartM;
  static constexpr int kAtomsM = kPartM / Core::kM, kAtomsN = kPartN / Core::kN;
  float sum_[kAtomsM][kAtomsN][Core::kSum];
  int m_, n_;
};

template <typename Shape, typename Core, bool kOnCores>
struct ChooseSums {
  using Type = LaneSums<Shape>;
};
template <typename Shape, typename Core>
struct ChooseSums<Shape, Core, true> {
  using Type = CoreSums<Shape, Core>;
};

template <typename Shape>
using Sums = typename ChooseSums<Shape, MatrixCore, Shape::kOnCores>::Type;

/// The sums over k in [k_begin, k_end) of op(A)[m0 + row, k] op(B)[k, n0 + column].
template <typename Shape, bool kTransA, bool kTransB, bool kVector>
__device__ __forceinline__ void multiply_tile(Sums<Shape>& sums, const float* a, const float* b, int m, int n,
                                              int k, int m0, int n0, int k_begin, int k_end) {
  constexpr int kStrideA = Shape::kM + Shape::kPad, kStrideB = Shape::kN + Shape::kPad;
  HIPGPT_SHARED(float, tile_a, [2][Shape::kK][kStrideA]);
  HIPGPT_SHARED(float, tile_b, [2][Shape::kK][kStrideB]);
  TileLoader<Shape::kM, Shape::kK, kStrideA, Shape::kThreads, !kTransA, kVector> load_a(a, kTransA ? m : k,
                                                                                        m0, m, k_begin);
  TileLoader<Shape::kN, Shape::kK, kStrideB, Shape::kThreads, kTransB, kVector> load_b(b, kTransB ? k : n, n0,
                                                                                       n, k_begin);
  load_a.fetch(k_end - k_begin);
  load_b.fetch(k_end - k_begin);
  load_a.store(tile_a[0]);
  load_b.store(tile_b[0]);
  __syncthreads();
  int current = 0;
  for (int k_left = k_end - k_begin; k_left > 0; k_left -= Shape::kK) {
    const bool more = k_left > Shape::kK;
    if (more) {
      load_a.fetch(k_left - Shape::kK);
      load_b.fetch(k_left - Shape::kK);
    }
    sums.multiply_add(tile_a[current], tile_b[current]);
    if (more) {
      current ^= 1;
      load_a.store(tile_a[current]);
      load_b.store(tile_b[current]);
      __syncthreads();
    }
  }
}

}  // namespace hipgpt::hip
