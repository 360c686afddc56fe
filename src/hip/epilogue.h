// The operations that every product applies to its sums on their way to memory.
#pragma once

#include "hip/activation.h"
#include "hip/bf16.h"
#include "hip/tile.h"

namespace hipgpt::hip {

/// Turns a sum s into C[i,j]: adds a bias, applies an activation or multiplies by a factor, and accumulates. It
/// computes in float, whatever the type T of the elements in memory.
template <typename T>
struct Epilogue {
  const float* bias = nullptr;  // [n]
  T* slope = nullptr;         // [m,n] with the row pitch of C, receives act'(s + bias)
  const T* factor = nullptr;  // the same; s is multiplied by it
  Activation act = Activation::kNone;
  bool accumulate = false;

  using Sums = Vec<float, kVecSize<T>>;
  static constexpr bool kIsBf16 = sizeof(T) == 2;

  template <int kCount>
  static __device__ Vec<float, kCount> activated(Activation act, Vec<float, kCount> s) {
    if constexpr (kIsBf16) return activate_fast(act, s);
    return map(s, [act](float x) { return activate(act, x); });
  }
  template <int kCount>
  static __device__ Vec<float, kCount> slopes(Activation act, Vec<float, kCount> z) {
    if constexpr (kIsBf16) return activation_slope_fast(act, z);
    return map(z, [act](float x) { return activation_slope(act, x); });
  }

  /// Stores a pack to C[row, column ...], or the part of it that is inside C. C is aligned if every row
  /// starts at a multiple of 16 bytes; then `slope` and `factor` are aligned too, and so is `bias`.
  __device__ void store(const Rows<T>& c, int row, int column, Sums s) const {
    if (row >= c.rows || column >= c.width) return;
    const bool whole = c.aligned && column + kVecSize<T> <= c.width;
    const auto load = [&](const T* p) {
      return to_floats(whole ? load_whole(p) : load_part(p, 0, c.width - column));
    };
    const auto store = [&](T* p, Vec<T, kVecSize<T>> v) {
      if (whole) {
        store_whole(p, v);
      } else {
        store_part(p, 0, c.width - column, v);
      }
    };
    const int64_t index = c.at(row, column) - c.data;
    if (bias != nullptr) {
      s = s + (whole ? load_floats<true, kVecSize<T>>(bias, column, c.width)
                     : load_floats<false, kVecSize<T>>(bias, column, c.width));
    }
    if (slope != nullptr) store(slope + index, from_floats<T>(slopes(act, s)));
    if (act != Activation::kNone) s = activated(act, s);
    if (factor != nullptr) s = s * load(factor + index);
    if (accumulate) s = load(c.data + index) + s;
    store(c.data + index, from_floats<T>(s));
  }
};

}  // namespace hipgpt::hip
