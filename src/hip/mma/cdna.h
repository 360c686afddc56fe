// The atom of AMD's CDNA (gfx90a, gfx940 and later): v_mfma_f32_16x16x4_f32 multiplies in fp32. AMD's matrix
// instruction calculator lists which lane holds which element.
#pragma once

#include "hip/mma/emulated.h"

namespace hipgpt::hip {

/// C [kM,kN] += A [kM,kK] B [kK,kN] by 64 lanes: how many elements of each matrix a lane holds, and which.
struct CdnaAtom {
  static constexpr int kM = 16, kN = 16, kK = 4, kLanes = 64;
  static constexpr int kLeft = 1, kRight = 1, kSum = 4;
  static constexpr int kNeighbours = 1;
  static constexpr int kStep = 8;  // 14 KB a block, so that two waves fit a SIMD
  static constexpr bool kLoadsMatrices = false;
  static constexpr bool kReadAhead = true;  // a lane has 256 registers at two waves
  static constexpr int kPad = 4, kStagePad = 1;

  __device__ static int left_row(int lane, int) { return lane % 16; }
  __device__ static int left_k(int lane, int) { return lane / 16; }
  __device__ static int right_k(int lane, int) { return lane / 16; }
  __device__ static int right_column(int lane, int) { return lane % 16; }
  __device__ static int sum_row(int lane, int i) { return lane / 16 * 4 + i; }
  __device__ static int sum_column(int lane, int) { return lane % 16; }

  struct Value {
    float value;
    __device__ void set(int, float x) { value = x; }
  };
  using Left = Value;
  using Right = Value;

  /// Moves a sum to a vector register before it is stored to shared memory. The hardware can also store from
  /// an accumulation register, but the instruction emulator (tests/isa) would then read the wrong register.
  __device__ static float result(float sum) {
#if defined(__gfx90a__) || defined(__gfx940__) || defined(__gfx942__) || defined(__gfx950__)
    asm("" : "+v"(sum));
#endif
    return sum;
  }

  __device__ static void multiply_add(float (&sum)[kSum], const Left& a, const Right& b) {
#if defined(__gfx90a__) || defined(__gfx940__) || defined(__gfx942__) || defined(__gfx950__)
    using Four = float __attribute__((ext_vector_type(4)));
    const Four c =
        __builtin_amdgcn_mfma_f32_16x16x4f32(a.value, b.value, Four{sum[0], sum[1], sum[2], sum[3]}, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < kSum; ++i) sum[i] = c[i];
#else
    emulated_mfma_16x16x4(sum, a.value, b.value);
#endif
  }
};

}  // namespace hipgpt::hip
