// The two passes of every softmax over a row.
#pragma once

#include <cstdint>

#include "cpu/vector_math.h"

namespace hipgpt::cpu {

/// max_j z[j]. Ignores NaN, which reappears in the sum.
inline float largest(const float* z, int64_t n) {
  float top = z[0];
#pragma omp simd reduction(max : top)
  for (int64_t j = 0; j < n; ++j) top = z[j] > top ? z[j] : top;
  return top;
}

/// z[j] = e^(z[j] - top); returns their sum.
inline float exp_and_sum(float* z, int64_t n, float top) {
  float total = 0.0f;
#pragma omp simd reduction(+ : total)
  for (int64_t j = 0; j < n; ++j) {
    const float e = exp_fast(z[j] - top);
    z[j] = e;
    total += e;
  }
  return total;
}

}  // namespace hipgpt::cpu
