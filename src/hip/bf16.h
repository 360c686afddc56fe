// bf16 in kernels: the upper half of a float, with its 8 bits of exponent and 8 significant bits.
//
// Kernels store and load bf16 but compute in float. A bf16 is a float exactly; a float becomes the nearest
// bf16, and ties go to the even one.
#pragma once

#include "hip/vec.h"
#include "tensor.h"

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

/// x as T.
template <typename T>
__device__ inline T from_float(float x) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return x;
  } else {
    return to_bf16(x);
  }
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

/// The lower halves of two registers, or the upper ones, as a pair.
__device__ inline uint32_t lower_halves(uint32_t first, uint32_t second) {
#if defined(__HIP_PLATFORM_AMD__) && defined(__HIP_DEVICE_COMPILE__)
  return __builtin_amdgcn_perm(second, first, 0x05040100u);
#else
  return (first & 0xffffu) | second << 16;
#endif
}
__device__ inline uint32_t upper_halves(uint32_t first, uint32_t second) {
#if defined(__HIP_PLATFORM_AMD__) && defined(__HIP_DEVICE_COMPILE__)
  return __builtin_amdgcn_perm(second, first, 0x07060302u);
#else
  return first >> 16 | (second & 0xffff0000u);
#endif
}

/// Two floats rounded to bf16, the first in the lower half. It takes two instructions less than to_bf16 and
/// keeps every NaN that arithmetic makes, but may turn one with only its lowest bits set into infinity.
__device__ inline uint32_t rounded_pair(float low, float high) {
#if defined(__gfx950__)
  using Floats = float __attribute__((ext_vector_type(2)));
  using Pair = __bf16 __attribute__((ext_vector_type(2)));
  return __builtin_bit_cast(uint32_t, __builtin_convertvector(Floats{low, high}, Pair));
#else
  const auto rounded = [](float x) {
    const uint32_t bits = __float_as_uint(x);
    return bits + 0x7fffu + (bits >> 16 & 1u);
  };
  return upper_halves(rounded(low), rounded(high));
#endif
}

// ---- Loads and stores with conversion -------------------------------------------------------------------

/// kCount neighbours of T, in packs of 16 bytes or fewer.
template <typename T, int kCount>
constexpr int kPieceSize = kCount < kVecSize<T> ? kCount : kVecSize<T>;

/// Loads row[column ...] as kCount floats. Elements beyond the row's end are zero. `column` is a multiple of
/// kCount; if kAligned, so is `width`, and every row starts at a multiple of the access.
template <bool kAligned, int kCount, typename T, typename Index>
__device__ inline Vec<float, kCount> load_floats(const T* row, Index column, Index width) {
  constexpr int kPiece = kPieceSize<T, kCount>;
  Vec<float, kCount> v;
#pragma unroll
  for (int i = 0; i < kCount; i += kPiece) {
    Vec<T, kPiece> piece = {};
    if constexpr (kAligned) {
      if (column < width) piece = *reinterpret_cast<const Vec<T, kPiece>*>(row + column + i);
    } else {
#pragma unroll
      for (int e = 0; e < kPiece; ++e)
        if (column + i + e < width) piece[e] = row[column + i + e];
    }
    const Vec<float, kPiece> floats = to_floats(piece);
#pragma unroll
    for (int e = 0; e < kPiece; ++e) v[i + e] = floats[e];
  }
  return v;
}

/// Stores kCount floats as T. Writes nothing beyond the row's end.
template <bool kAligned, typename T, int kCount, typename Index>
__device__ inline void store_floats(T* row, Index column, Index width, Vec<float, kCount> v) {
  constexpr int kPiece = kPieceSize<T, kCount>;
#pragma unroll
  for (int i = 0; i < kCount; i += kPiece) {
    Vec<float, kPiece> floats;
#pragma unroll
    for (int e = 0; e < kPiece; ++e) floats[e] = v[i + e];
    const Vec<T, kPiece> piece = from_floats<T>(floats);
    if constexpr (kAligned) {
      if (column < width) *reinterpret_cast<Vec<T, kPiece>*>(row + column + i) = piece;
    } else {
#pragma unroll
      for (int e = 0; e < kPiece; ++e)
        if (column + i + e < width) row[column + i + e] = piece[e];
    }
  }
}

/// Whether every row of matrices with rows of `width` elements is a whole number of packs of `pack` elements
/// and starts at a multiple of 16 bytes, as far as its type allows.
template <typename... T>
bool packs_aligned(int pack, int width, const T*... matrices) {
  return width % pack == 0 && all_aligned(matrices...);
}

/// Calls f with a value of the element type of a tensor, float{} or bf16{}.
template <typename F>
void with_type_of(const Tensor& tensor, const F& f) {
  if (tensor.dtype() == DType::kBF16) {
    f(bf16{});
  } else {
    f(float{});
  }
}

/// The elements of a tensor as T; null if it is none.
template <typename T>
T* elements(const Tensor& tensor) {
  if (!tensor) return nullptr;
  if constexpr (sizeof(T) == sizeof(float)) {
    return tensor.f32();
  } else {
    return reinterpret_cast<bf16*>(tensor.bf16());
  }
}

}  // namespace hipgpt::hip
