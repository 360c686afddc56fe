// The rows of add_dropout(), which residual_layernorm() uses too.
#pragma once

#include "cpu/dropout_mask.h"
#include "cpu/elements.h"
#include "cpu/parallel.h"

namespace hipgpt::cpu {

/// y = x + dropout(branch) for rows [begin, end); without x, y = dropout(branch). T is float or uint16_t (bf16).
template <typename T>
struct AddDropout {
  T* y;
  const T *x, *branch;
  int64_t width;
  Dropout dropout;

  AddDropout(const Tensor& y, const Tensor& x, const Tensor& branch, const Dropout& dropout)
      : y(elements<T>(y)),
        x(elements<T>(x)),
        branch(elements<T>(branch)),
        width(branch.dim(1)),
        dropout(dropout) {}

  void operator()(int64_t begin, int64_t end) const {
    T* out = y;
    const T *residual = x, *in = branch;
    if (dropout.p == 0.0f && residual != nullptr) {
#pragma omp simd
      for (int64_t i = begin * width; i < end * width; ++i) store(out + i, load(residual + i) + load(in + i));
      return;
    }
    float* factor = thread_scratch(width);
    for (int64_t r = begin; r < end; ++r) {
      dropout_factors(factor, width, r, dropout);
      for (int64_t e = 0; e < width; ++e) {
        const int64_t i = r * width + e;
        store(out + i, (residual != nullptr ? load(residual + i) : 0.0f) + factor[e] * load(in + i));
      }
    }
  }
};

}  // namespace hipgpt::cpu
