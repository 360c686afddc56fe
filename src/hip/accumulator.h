// Accumulators: the sums of a block's tile, in the registers of its threads. An accumulator separates what a
// kernel computes from what the architecture offers, one level above a single instruction:
//
//   sums.multiply(tile_a, tile_b)   adds the products of one step along k
//   sums.for_each(band, f)          calls f(row, column, values) for one band of the sums; bands are in order
//
// AtomAccumulator uses the matrix cores that an atom describes. PlainAccumulator uses ordinary
// multiplications. This file selects the atom for the compiler's target. Tests run the atoms of other
// families with emulated instructions. RDNA's matrix cores (WMMA) do not support fp32, so RDNA uses
// PlainAccumulator for it.
#pragma once

#include <type_traits>

#include "hip/mma/cdna.h"
#include "hip/mma/cdna_bf16.h"
#include "hip/mma/plain.h"
#include "hip/mma/rdna_bf16.h"
#include "hip/mma/sm80.h"
#include "hip/mma/sm80_bf16.h"

namespace hipgpt::hip {

/// Stands for an architecture without matrix cores for the type.
struct NoAtom {
  static constexpr int kStep = 0, kPad = 1;
  static constexpr bool kPacked = false;
};

/// The atom of the compiler's target. A kernel's name must not depend on the target, or the host would launch
/// a kernel that the device code does not contain. So shapes name OfTarget, and AtomOf resolves it inside the
/// kernel.
struct OfTarget;
struct Bf16OfTarget;

template <typename T>
struct AtomOf {
  using Type = T;
};
template <>
struct AtomOf<OfTarget> {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  using Type = Sm80Atom;
#elif defined(__gfx90a__) || defined(__gfx940__) || defined(__gfx942__) || defined(__gfx950__)
  using Type = CdnaAtom;
#else
  using Type = NoAtom;
#endif
};

template <>
struct AtomOf<Bf16OfTarget> {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  using Type = Sm80Bf16Atom;
#elif defined(HIPGPT_EMULATED_BF16_ATOM)
  using Type = HIPGPT_EMULATED_BF16_ATOM;  // for tests: the kernels of AMD with emulated instructions
#elif __has_builtin(__builtin_amdgcn_mfma_f32_16x16x16bf16_1k)
  using Type = CdnaBf16Atom;
#elif __has_builtin(__builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12)  // gfx12 has that of gfx11, too
  using Type = Rdna4Bf16Atom;
#elif __has_builtin(__builtin_amdgcn_wmma_f32_16x16x16_bf16_w32)
  using Type = Rdna3Bf16Atom;
#else
  using Type = NoAtom;
#endif
};

/// The atom of attention in bf16. AMD's targets without matrix cores have a kernel, too, which never runs.
struct AttentionAtomOfTarget;
template <>
struct AtomOf<AttentionAtomOfTarget> {
  using Matrix = AtomOf<Bf16OfTarget>::Type;
  using Any = std::conditional_t<kWaveSize == 64, CdnaBf16Atom, Rdna4Bf16Atom>;
  using Type = std::conditional_t<!kForAmd, Sm80Bf16Atom,
                                  std::conditional_t<std::is_same_v<Matrix, NoAtom>, Any, Matrix>>;
};

/// Loads the left operand of an atom, rows `row` ... of a tile over indices `k` ....
template <typename Atom, typename Tile>
__device__ __forceinline__ void load_left(typename Atom::Left& left, const Tile& tile, int k, int row,
                                          int lane) {
  if constexpr (Atom::kLoadsMatrices) {
    Atom::load_left(left, tile, k, row, lane);
  } else {
#pragma unroll
    for (int e = 0; e < Atom::kLeft; ++e)
      left.set(e, tile.template piece<1>(k + Atom::left_k(lane, e), row + Atom::left_row(lane, e))[0]);
  }
}

/// The same for the right operand and its columns.
template <typename Atom, typename Tile>
__device__ __forceinline__ void load_right(typename Atom::Right& right, const Tile& tile, int k, int column,
                                           int lane) {
  if constexpr (Atom::kLoadsMatrices) {
    Atom::load_right(right, tile, k, column, lane);
  } else {
#pragma unroll
    for (int e = 0; e < Atom::kRight; ++e)
      right.set(e,
                tile.template piece<1>(k + Atom::right_k(lane, e), column + Atom::right_column(lane, e))[0]);
  }
}

/// The sums of a block's tile, computed by matrix cores. Each wave has a part of 64 rows, divided into atoms.
template <typename Shape>
class AtomAccumulator {
  using Atom = typename Shape::Atom;

 public:
  static constexpr int kPartM = 64, kBandM = Atom::kM, kBands = kPartM / kBandM;
  static constexpr int kStagePad = Atom::kStagePad;

  __device__ AtomAccumulator() : sums_{} {
    const int wave = same_in_wave(static_cast<int>(threadIdx.x / Atom::kLanes));
    lane_ = threadIdx.x % Atom::kLanes;
    part_ = wave % (Shape::kM / kPartM);
    column_ = wave / (Shape::kM / kPartM) * kPartN;
  }

  template <typename A, typename B>
  __device__ __forceinline__ void multiply(const A& a, const B& b) {
    constexpr int kAhead = Atom::kReadAhead ? A::kRows / Atom::kK : 1;  // atoms along k read together
#pragma unroll
    for (int first = 0; first < A::kRows; first += kAhead * Atom::kK) {
      typename Atom::Left left[kAhead][kAtomsM];
      typename Atom::Right right[kAhead][kAtomsN];
#pragma unroll
      for (int s = 0; s < kAhead; ++s) read(left[s], right[s], a, b, first + s * Atom::kK);
#pragma unroll
      for (int s = 0; s < kAhead; ++s) {
#pragma unroll
        for (int i = 0; i < kAtomsM; ++i) {
#pragma unroll
          for (int j = 0; j < kAtomsN; ++j) Atom::multiply_add(sums_[i][j], left[s][i], right[s][j]);
        }
      }
      if constexpr (kPackedOnRdna) {
#pragma unroll
        for (int i = 0; i < kAtomsM; ++i) {
#pragma unroll
          for (int j = 0; j < kAtomsN; ++j) Atom::end_of_step(sums_[i][j]);
        }
      }
    }
  }

  template <typename F>
  __device__ __forceinline__ void for_each(int band, const F& f) const {
    using Values = Vec<float, Atom::kNeighbours>;
#pragma unroll
    for (int i = 0; i < kAtomsM; ++i) {
      if (i != band) continue;  // an index into registers must be a constant
#pragma unroll
      for (int j = 0; j < kAtomsN; ++j) {
#pragma unroll
        for (int e = 0; e < Atom::kSum; e += Atom::kNeighbours) {
          Values values;
#pragma unroll
          for (int v = 0; v < Atom::kNeighbours; ++v) values[v] = Atom::result(sums_[i][j][e + v]);
          f(part_ * kBandM + Atom::sum_row(lane_, e), column_ + j * Atom::kN + Atom::sum_column(lane_, e),
            values);
        }
      }
    }
  }

 private:
  static constexpr int kPartN = Shape::kM * Shape::kN / (Shape::kThreads / Atom::kLanes) / kPartM;
  static constexpr int kAtomsM = kPartM / Atom::kM, kAtomsN = kPartN / Atom::kN;
  static constexpr bool kPackedOnRdna = kForRdna && Atom::kLoadsMatrices;

  template <typename A, typename B>
  __device__ __forceinline__ void read(typename Atom::Left (&left)[kAtomsM],
                                       typename Atom::Right (&right)[kAtomsN], const A& a, const B& b,
                                       int k) const {
    if constexpr (kPackedOnRdna) {
#pragma unroll
      for (int i = 0; i < kAtomsM; ++i) Atom::load_left(left[i], a, k, i * Atom::kM, lane_, part_ * kPartM);
#pragma unroll
      for (int j = 0; j < kAtomsN; ++j) Atom::load_right(right[j], b, k, j * Atom::kN, lane_, column_);
      return;
    }
#pragma unroll
    for (int i = 0; i < kAtomsM; ++i) load_left<Atom>(left[i], a, k, part_ * kPartM + i * Atom::kM, lane_);
#pragma unroll
    for (int j = 0; j < kAtomsN; ++j) load_right<Atom>(right[j], b, k, column_ + j * Atom::kN, lane_);
  }

  float sums_[kAtomsM][kAtomsN][Atom::kSum];
  int lane_, part_, column_;
};

template <typename Shape>
using Accumulator = std::conditional_t<std::is_same_v<typename Shape::Atom, NoAtom>, PlainAccumulator<Shape>,
                                       AtomAccumulator<Shape>>;

}  // namespace hipgpt::hip
