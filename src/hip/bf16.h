// bf16 in kernels: the upper half of a float, with its 8 bits of exponent and 8 significant bits.
//
// Kernels store and load bf16 but compute in float. A bf16 is a float exactly; a float becomes the nearest
// bf16, and ties go to the even one.
#pragma once

#include "hip/vec.h"

namespace hipgpt::hip {

struct bf16 {
  uint16_t bits;
};

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(bf16 x) {
  return __uint_as_float(static_cast<uint32_t>(x.bits) << 16);
}

/// NaN stays NaN: rounding could carry its fraction into the sign, so NaN keeps its upper bits, one of them
/// set.
__device__ inline bf16 to_bf16(float x) {
  const uint32_t bits = __float_as_uint(x);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  return {static_cast<uint16_t>(x != x ? bits >> 16 | 0x40u : rounded)};
}

template <int kCount>
__device__ inline Vec<float, kCount> to_floats(Vec<float, kCount> v) {
  return v;
}
template <int kCount>
__device__ inline Vec<float, kCount> to_floats(Vec<bf16, kCount> v) {
  Vec<float, kCount> floats;
#pragma unroll
  for (int i = 0; i < kCount; ++i) floats[i] = to_float(v[i]);
  return floats;
}

/// Converts floats to T.
template <typename T, int kCount>
__device__ inline Vec<T, kCount> from_floats(Vec<float, kCount> v) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return v;
  } else {
    Vec<T, kCount> result;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    static_assert(kCount % 2 == 0);
    uint32_t* pairs = reinterpret_cast<uint32_t*>(&result);
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i)
      asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pairs[i]) : "f"(v[2 * i + 1]), "f"(v[2 * i]));
#else
#pragma unroll
    for (int i = 0; i < kCount; ++i) result[i] = to_bf16(v[i]);
#endif
    return result;
  }
}

}  // namespace hipgpt::hip
