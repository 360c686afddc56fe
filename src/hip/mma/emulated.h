// The instructions of matrix cores in plain C++, for tests on the emulated platform: each lane fetches the
// operands of its sums from the other lanes.
//
// These functions map each matrix element (row, k) to a lane, and the atoms map each lane to its elements. So
// a wrong map in either place gives a wrong product.
#pragma once

#include "hip/kernel.h"

namespace hipgpt::hip {

/// kCount registers of every lane of a wave.
template <int kCount>
class WaveRegisters {
 public:
#if defined(__CUDACC__) || defined(__HIP_PLATFORM_AMD__)
  __device__ explicit WaveRegisters(const uint32_t* own) : own_(own) {}
  __device__ uint32_t of(int lane, int i) const {
    return __shfl(own_[i], lane);
  }

 private:
  const uint32_t* own_;
#else
  /// The emulated lanes meet once for two registers, instead of once for each operand of a product.
  __device__ explicit WaveRegisters(const uint32_t* own, int line = __builtin_LINE()) {
    for (int i = 0; i < kCount; i += 2) {
      const uint32_t second = i + 1 < kCount ? own[i + 1] : 0;
      pairs_[i / 2] = emulated::meet(own[i] | uint64_t{second} << 32, {__FILE__, line});
    }
  }

  __device__ uint32_t of(int lane, int i) const {
    return static_cast<uint32_t>(pairs_[i / 2].values[lane] >> i % 2 * 32);
  }

 private:
  emulated::Lanes pairs_[(kCount + 1) / 2];
#endif
};

/// The nearest value with 10 bits of fraction; ties round away from zero.
__device__ inline uint32_t emulated_to_tf32(float x) {
  return (__float_as_uint(x) + 0x1000u) & ~0x1fffu;
}

/// mma.sync.m16n8k8 with tf32 operands. The unit ignores their lowest 13 bits.
///   A(row, k)     lane 4 (row mod 8) + k mod 4, register row / 8 + 2 (k / 4)
///   B(k, column)  lane 4 column + k mod 4,      register k / 4
///   C(row, col)   lane 4 (row mod 8) + col / 2, register 2 (row / 8) + col mod 2
__device__ inline void emulated_mma_m16n8k8(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const int lane = threadIdx.x % 32, base = threadIdx.x % kWaveSize / 32 * 32;
  const auto value = [](uint32_t bits) { return __uint_as_float(bits & ~0x1fffu); };
  const WaveRegisters<4> left(a);
  const WaveRegisters<2> right(b);
  for (int reg = 0; reg < 4; ++reg) {
    const int row_mod_8 = lane / 4, column = lane % 4 * 2 + reg % 2;
    for (int k = 0; k < 8; ++k) {
      const uint32_t x = left.of(base + 4 * row_mod_8 + k % 4, reg / 2 + k / 4 * 2);
      const uint32_t y = right.of(base + 4 * column + k % 4, k / 4);
      c[reg] = fmaf(value(x), value(y), c[reg]);
    }
  }
}

/// mma.sync.m16n8k16 with bf16 operands, two neighbours along k in a register.
///   A(row, k)     lane 4 (row mod 8) + k mod 8 / 2, register row / 8 + 2 (k / 8)
///   B(k, column)  lane 4 column + k mod 8 / 2,      register k / 8
///   C(row, col)   lane 4 (row mod 8) + col / 2,     register 2 (row / 8) + col mod 2
__device__ inline void emulated_mma_m16n8k16(float* c, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const int lane = threadIdx.x % 32, base = threadIdx.x % kWaveSize / 32 * 32;
  const auto half = [](uint32_t pair, int k) {
    return __uint_as_float(k % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
  };
  const uint32_t b[] = {b0, b1};
  const WaveRegisters<4> left(a);
  const WaveRegisters<2> right(b);
  for (int reg = 0; reg < 4; ++reg) {
    const int row_mod_8 = lane / 4, column = lane % 4 * 2 + reg % 2;
    for (int k = 0; k < 16; ++k) {
      const uint32_t x = left.of(base + 4 * row_mod_8 + k % 8 / 2, reg / 2 + k / 8 * 2);
      const uint32_t y = right.of(base + 4 * column + k % 8 / 2, k / 8);
      c[reg] = fmaf(half(x, k), half(y, k), c[reg]);
    }
  }
}

/// v_mfma_f32_16x16x4_f32.
///   A(row, k)        lane 16 k + row
///   B(k, column)     lane 16 k + column
///   C(row, column)   lane 16 (row / 4) + column, register row mod 4
__device__ inline void emulated_mfma_16x16x4(float (&c)[4], float a, float b) {
  const int lane = threadIdx.x % 64;
  const uint32_t operands[] = {__float_as_uint(a), __float_as_uint(b)};
  const WaveRegisters<2> of_wave(operands);
  for (int k = 0; k < 4; ++k) {
    const float y = __uint_as_float(of_wave.of(16 * k + lane % 16, 1));
    for (int reg = 0; reg < 4; ++reg)
      c[reg] = fmaf(__uint_as_float(of_wave.of(16 * k + lane / 16 * 4 + reg, 0)), y, c[reg]);
  }
}

/// Kernels of bf16 are compiled for every GPU of AMD, but attention is launched only on those with matrix
/// cores. On others, the emulated instructions would take minutes to compile.
__device__ inline void trap_on_gpu() {
#if defined(__HIP_PLATFORM_AMD__) && defined(__HIP_DEVICE_COMPILE__)
  __builtin_trap();
#endif
}

/// Element i of bf16 in pairs.
__device__ inline float emulated_half(uint32_t pair, int i) {
  return __uint_as_float(i % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
}

/// v_mfma_f32_16x16x16_bf16.
///   A(row, k)        lane 16 (k / 4) + row, element k mod 4
///   B(k, column)     lane 16 (k / 4) + column, element k mod 4
///   C(row, column)   lane 16 (row / 4) + column, register row mod 4
__device__ inline void emulated_mfma_16x16x16_bf16(float (&c)[4], const uint32_t* a, const uint32_t* b) {
  trap_on_gpu();
  const int lane = threadIdx.x % 64;
  const WaveRegisters<2> left(a), right(b);
  for (int k = 0; k < 16; ++k) {
    const float y = emulated_half(right.of(k / 4 * 16 + lane % 16, k % 4 / 2), k);
    for (int reg = 0; reg < 4; ++reg) {
      const uint32_t x = left.of(k / 4 * 16 + lane / 16 * 4 + reg, k % 4 / 2);
      c[reg] = fmaf(emulated_half(x, k), y, c[reg]);
    }
  }
}

/// v_wmma_f32_16x16x16_bf16 of gfx11. Lanes 16 to 31 must repeat the operands of lanes 0 to 15; here odd k
/// come from them.
///   A(row, k)        lane row and lane 16 + row, element k
///   B(k, column)     lane column and lane 16 + column, element k
///   C(row, column)   lane 16 (row mod 2) + column, register row / 2
__device__ inline void emulated_wmma_gfx11(float (&c)[8], const uint32_t* a, const uint32_t* b) {
  trap_on_gpu();
  const int lane = threadIdx.x % 32, base = threadIdx.x % kWaveSize / 32 * 32;
  const WaveRegisters<8> left(a), right(b);
  for (int k = 0; k < 16; ++k) {
    const int half = base + k % 2 * 16;
    const float y = emulated_half(right.of(half + lane % 16, k / 2), k);
    for (int reg = 0; reg < 8; ++reg) {
      const uint32_t x = left.of(half + 2 * reg + lane / 16, k / 2);
      c[reg] = fmaf(emulated_half(x, k), y, c[reg]);
    }
  }
}

/// v_wmma_f32_16x16x16_bf16 of gfx12.
///   A(row, k)        lane 16 (k / 4 mod 2) + row, element k mod 4 + 4 (k / 8)
///   B(k, column)     lane 16 (k / 4 mod 2) + column, element k mod 4 + 4 (k / 8)
///   C(row, column)   lane 16 (row / 8) + column, register row mod 8
__device__ inline void emulated_wmma_gfx12(float (&c)[8], const uint32_t* a, const uint32_t* b) {
  trap_on_gpu();
  const int lane = threadIdx.x % 32, base = threadIdx.x % kWaveSize / 32 * 32;
  const WaveRegisters<4> left(a), right(b);
  for (int k = 0; k < 16; ++k) {
    const int half = base + k / 4 % 2 * 16, pair = k % 4 / 2 + k / 8 * 2;
    const float y = emulated_half(right.of(half + lane % 16, pair), k);
    for (int reg = 0; reg < 8; ++reg) {
      const uint32_t x = left.of(half + lane / 16 * 8 + reg, pair);
      c[reg] = fmaf(emulated_half(x, k), y, c[reg]);
    }
  }
}

}  // namespace hipgpt::hip
