// Elements in fp32 or bf16: loops are written once, and compute in fp32.
#pragma once

#include <cstdint>
#include <type_traits>

#include "tensor.h"
#include "util/bf16.h"

namespace hipgpt::cpu {

inline float load(const float* p) {
  return *p;
}
inline float load(const uint16_t* p) {
  return from_bf16(*p);
}
inline void store(float* p, float value) {
  *p = value;
}
inline void store(uint16_t* p, float value) {
  *p = to_bf16(value);
}

/// to[i] = from[i], rounded if T is bf16, for i in [0, n).
template <typename T>
void store_row(T* to, const float* from, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) store(to + i, from[i]);
}

/// The elements of a tensor of type T, float or uint16_t, or null if there is none.
template <typename T>
T* elements(const Tensor& t) {
  if (!t) return nullptr;
  if constexpr (std::is_same_v<T, float>) {
    return t.f32();
  } else {
    return t.bf16();
  }
}

/// Calls f(T()), where T is the type of a tensor's elements, float or uint16_t.
template <typename F>
void with_elements(const Tensor& t, const F& f) {
  if (t.dtype() == DType::kBF16) return f(uint16_t());
  f(float());
}

}  // namespace hipgpt::cpu
