// Weights in bf16 or int8 beside activations in fp32, for generation.
#pragma once

#include <algorithm>
#include <cstdint>

#include "operands.h"
#include "tensor.h"
#include "util/bf16.h"

namespace hipgpt::cpu {

/// Whether a weight is narrower than the fp32 activations that it belongs to.
inline bool is_narrow(const Tensor& activations, const Tensor& weight) {
  return activations.dtype() == DType::kF32 && weight.rank() == 2 && weight.contiguous() &&
         (weight.dtype() == DType::kBF16 || weight.dtype() == DType::kInt8);
}

/// A matrix, or a cache [B,S,E], that stands for a narrow one where only its shape is checked.
inline Tensor in_fp32(const Tensor& narrow) {
  if (narrow.rank() == 3) return Tensor(narrow.data(), {narrow.dim(0), narrow.dim(1), narrow.dim(2)});
  return Tensor(narrow.data(), {narrow.dim(0), narrow.dim(1)});
}

/// row = weight[j,:] in fp32.   weight fp32, bf16 or int8 [.,n], row [n].
inline void widen_row(float* row, const Tensor& weight, int64_t j) {
  const int64_t n = weight.dim(1);
  if (weight.dtype() == DType::kF32) {
    std::copy_n(weight.f32() + j * n, n, row);
  } else if (weight.dtype() == DType::kBF16) {
    const uint16_t* bits = weight.bf16() + j * n;
#pragma omp simd
    for (int64_t k = 0; k < n; ++k) row[k] = from_bf16(bits[k]);
  } else {
    constexpr int64_t kGroup = Int8Group::kSize;
    const Int8Group* group = weight.int8() + j * ((n + kGroup - 1) / kGroup);
    for (int64_t first = 0; first < n; first += kGroup, ++group) {
      const int64_t count = std::min(kGroup, n - first);
#pragma omp simd
      for (int64_t k = 0; k < count; ++k)
        row[first + k] = group->scale * static_cast<float>(group->values[k]);
    }
  }
}

/// row = weight[j,:] in bf16.   weight int8 [.,n], row [n].
inline void widen_row(uint16_t* row, const Tensor& weight, int64_t j) {
  constexpr int64_t kGroup = Int8Group::kSize;
  const int64_t n = weight.dim(1);
  const Int8Group* group = weight.int8() + j * ((n + kGroup - 1) / kGroup);
  for (int64_t first = 0; first < n; first += kGroup, ++group) {
    const int64_t count = std::min(kGroup, n - first);
#pragma omp simd
    for (int64_t k = 0; k < count; ++k)
      row[first + k] = to_bf16(group->scale * static_cast<float>(group->values[k]));
  }
}

}  // namespace hipgpt::cpu
