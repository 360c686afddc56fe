// The operations that every product applies to its sums on their way to memory.
#pragma once

#include "hip/activation.h"
#include "hip/bf16.h"
#include "hip/tile.h"

namespace hipgpt::hip {

/// Turns a sum s into C[i,j]: adds a bias, applies an activation or multiplies by its slope, and accumulates.
/// It computes in float, whatever the type T of the elements in memory.
template <typename T>
struct Epilogue {
  const T* bias = nullptr;      // [n]
  T* pre = nullptr;             // [m,n] receives s + bias
  const T* slope_at = nullptr;  // [m,n]: s is multiplied by act'(slope_at)
  Activation act = Activation::kNone;
  bool accumulate = false;

  using Sums = Vec<float, kVecSize<T>>;

  /// Stores to C[row, column ...]. If C is aligned, so are `bias`, `pre` and `slope_at`.
  __device__ void store(const Rows<T>& c, int row, int column, Sums s) const {
    if (row >= c.rows || column >= c.width) return;
    const auto load = [&](const T* p) {
      return to_floats(c.aligned ? load_whole(p) : load_part(p, 0, c.width - column));
    };
    const int64_t index = c.at(row, column) - c.data;
    if (bias != nullptr) s = s + load(bias + column);
    if (pre != nullptr)
      Rows<T>{pre, c.stride, c.rows, c.width, c.aligned}.store(row, column, from_floats<T>(s));
    if (slope_at != nullptr) {
      s = map(s, load(slope_at + index), [this](float x, float z) { return x * activation_slope(act, z); });
    } else if (act != Activation::kNone) {
      s = map(s, [this](float x) { return activate(act, x); });
    }
    if (accumulate) s = load(c.data + index) + s;
    c.store(row, column, from_floats<T>(s));
  }
};

}  // namespace hipgpt::hip
