// The bf16 atom of AMD's CDNA: two v_mfma_f32_16x16x16_bf16 (gfx90a, gfx940 and later), or one
// v_mfma_f32_16x16x32_bf16 (gfx950).
#pragma once

#include "hip/mma/amd_bf16.h"

namespace hipgpt::hip {

/// C [kM,kN] += A [kM,kK] B [kK,kN] by 64 lanes.
struct CdnaBf16Atom : AmdOperandLoads<CdnaBf16Atom, 1> {
  static constexpr int kM = 16, kN = 16, kK = 32, kLanes = 64;
  static constexpr int kSum = 4, kNeighbours = 4;
  static constexpr int kStagePad = 1;
  static constexpr int kRowLanes = 4, kRowStride = 16, kOfFour = 4;  // as in sm80_bf16.h

  __device__ static int unit_k(int lane, int) { return lane / 16 * 8; }
  __device__ static int sum_column(int lane, int i) { return lane / 16 * 4 + i; }
  __device__ static int sum_k(int unit, int i) { return i / 4 * 16 + unit * 4 + i % 4; }

  __device__ static void end_of_step(float (&)[kSum]) {}

  /// Moves a sum to a vector register before it is stored, as in cdna.h.
  __device__ static float result(float sum) {
#if __has_builtin(__builtin_amdgcn_mfma_f32_16x16x16bf16_1k)
    asm("" : "+v"(sum));
#endif
    return sum;
  }

  /// Two neighbouring atoms of sums, rounded to bf16, as the left operand of another product.
  __device__ static Left as_left(const float (*sums)[kSum]) {
    Left left;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      left.pairs[i] = rounded_pair(sums[i / 2][i % 2 * 2], sums[i / 2][i % 2 * 2 + 1]);
    return left;
  }

  __device__ static void multiply_add(float (&sum)[kSum], const Left& a, const Right& b) {
#if __has_builtin(__builtin_amdgcn_mfma_f32_16x16x16bf16_1k)
    using Sums = float __attribute__((ext_vector_type(4)));
    Sums c{sum[0], sum[1], sum[2], sum[3]};
#if __has_builtin(__builtin_amdgcn_mfma_f32_16x16x32_bf16)
    using Eight = __bf16 __attribute__((ext_vector_type(8)));
    c = __builtin_amdgcn_mfma_f32_16x16x32_bf16(b.as<Eight>(0), a.as<Eight>(0), c, 0, 0, 0);
#else
    using Four = short __attribute__((ext_vector_type(4)));
    c = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(b.as<Four>(0), a.as<Four>(0), c, 0, 0, 0);
    c = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(b.as<Four>(2), a.as<Four>(2), c, 0, 0, 0);
#endif
#pragma unroll
    for (int i = 0; i < kSum; ++i) sum[i] = c[i];
#else
    emulated_mfma_16x16x16_bf16(sum, b.pairs, a.pairs);
    emulated_mfma_16x16x16_bf16(sum, b.pairs + 2, a.pairs + 2);
#endif
  }
};

}  // namespace hipgpt::hip
