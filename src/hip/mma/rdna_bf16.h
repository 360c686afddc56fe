// The bf16 atoms of AMD's RDNA: v_wmma_f32_16x16x16_bf16 with waves of 32, in the forms of gfx11 and gfx12.
#pragma once

#include "hip/mma/amd_bf16.h"

namespace hipgpt::hip {

/// Keeps the products of a step together: otherwise the compiler moves the loads of all steps before the first
/// product, which takes more registers than there are.
__device__ inline void keep_products_here(float (&sum)[8]) {
#if defined(__HIP_PLATFORM_AMD__) && defined(__HIP_DEVICE_COMPILE__)
  using Sums = float __attribute__((ext_vector_type(8)));
  Sums c{sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]};
  asm volatile("" : "+v"(c));
#pragma unroll
  for (int i = 0; i < 8; ++i) sum[i] = c[i];
#else
  static_cast<void>(sum);
#endif
}

/// RDNA 4 (gfx12): each half of the lanes holds half of k.
struct Rdna4Bf16Atom : AmdOperandLoads<Rdna4Bf16Atom, 1> {
  static constexpr int kM = 16, kN = 16, kK = 16, kLanes = 32;
  static constexpr int kSum = 8, kNeighbours = 4;
  static constexpr int kStagePad = 1;
  static constexpr int kRowLanes = 2, kRowStride = 16, kOfFour = 4;

  __device__ static int unit_k(int lane, int) { return lane / 16 * 8; }
  __device__ static int sum_column(int lane, int i) { return lane / 16 * 8 + i; }
  __device__ static int sum_k(int unit, int i) { return unit * 8 + i; }
  __device__ static void end_of_step(float (&sum)[kSum]) { keep_products_here(sum); }
  __device__ static float result(float sum) { return sum; }

  __device__ static Left as_left(const float (*sums)[kSum]) {
    Left left;
#pragma unroll
    for (int i = 0; i < 4; ++i) left.pairs[i] = rounded_pair(sums[0][2 * i], sums[0][2 * i + 1]);
    return left;
  }

  __device__ static void multiply_add(float (&sum)[kSum], const Left& a, const Right& b) {
#if __has_builtin(__builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12)
    using Eight = short __attribute__((ext_vector_type(8)));
    using Sums = float __attribute__((ext_vector_type(8)));
    const Sums c = __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12(
        b.as<Eight>(0), a.as<Eight>(0), Sums{sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]});
#pragma unroll
    for (int i = 0; i < kSum; ++i) sum[i] = c[i];
#else
    emulated_wmma_gfx12(sum, b.pairs, a.pairs);
#endif
  }
};

/// RDNA 3 (gfx11): both halves of the lanes hold all k of an operand, but only every second column of the
/// sums.
struct Rdna3Bf16Atom : AmdOperandLoads<Rdna3Bf16Atom, 2> {
  static constexpr int kM = 16, kN = 16, kK = 16, kLanes = 32;
  static constexpr int kSum = 8, kNeighbours = 1;
  static constexpr int kStagePad = 1;
  static constexpr int kRowLanes = 2, kRowStride = 16, kOfFour = 2;

  __device__ static int unit_k(int, int unit) { return unit * 8; }
  __device__ static int sum_column(int lane, int i) { return 2 * i + lane / 16; }
  __device__ static int sum_k(int unit, int i) { return unit * 8 + i; }
  __device__ static void end_of_step(float (&sum)[kSum]) { keep_products_here(sum); }
  __device__ static float result(float sum) { return sum; }

  /// Exchanges sums with the lane that holds the other columns.
  __device__ static Left as_left(const float (*sums)[kSum]) {
    Left left;
    const bool upper = threadIdx.x % kLanes >= 16;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t own = rounded_pair(sums[0][2 * i], sums[0][2 * i + 1]), other = of_other_half(own);
      const uint32_t even = upper ? other : own, odd = upper ? own : other;
      left.pairs[2 * i] = lower_halves(even, odd);
      left.pairs[2 * i + 1] = upper_halves(even, odd);
    }
    return left;
  }

  __device__ static void multiply_add(float (&sum)[kSum], const Left& a, const Right& b) {
#if __has_builtin(__builtin_amdgcn_wmma_f32_16x16x16_bf16_w32)
    using Sixteen = short __attribute__((ext_vector_type(16)));
    using Sums = float __attribute__((ext_vector_type(8)));
    const Sums c = __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32(
        b.as<Sixteen>(0), a.as<Sixteen>(0),
        Sums{sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]});
#pragma unroll
    for (int i = 0; i < kSum; ++i) sum[i] = c[i];
#else
    emulated_wmma_gfx11(sum, b.pairs, a.pairs);
#endif
  }

 private:
  /// The value of lane l xor 16.
  __device__ static uint32_t of_other_half(uint32_t value) {
#if __has_builtin(__builtin_amdgcn_permlanex16)
    // In scalar registers, because the instruction emulator (tests/isa) does not read a literal here.
    uint32_t lower = 0x76543210u, upper = 0xfedcba98u;
    asm("" : "+s"(lower), "+s"(upper));
    return __builtin_amdgcn_permlanex16(value, value, lower, upper, false, false);
#else
    return __shfl_xor(value, 16);
#endif
  }
};

}  // namespace hipgpt::hip
