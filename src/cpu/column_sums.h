// Sums of the columns of a matrix: the gradient of a bias.
#pragma once

#include "cpu/elements.h"
#include "cpu/parallel.h"
#include "tensor.h"

namespace hipgpt::cpu {

/// sums[j] += sum_i x[i,j]. A piece sums 64 columns, so no two threads share a sum.
template <typename T>
void add_column_sums(ThreadPool& threads, float* sums, Tensor x) {
  constexpr int64_t kColumns = 64;
  const int64_t rows = x.dim(0), n = x.dim(1), pitch = x.pitch();
  const T* in = elements<T>(x);
  parallel_ranges(threads, n, kColumns, [=](int64_t begin, int64_t end) {
    float total[kColumns] = {};
    for (int64_t i = 0; i < rows; ++i) {
      const T* row = in + i * pitch + begin;
#pragma omp simd
      for (int64_t j = 0; j < end - begin; ++j) total[j] += load(row + j);
    }
    for (int64_t j = begin; j < end; ++j) sums[j] += total[j - begin];
  });
}

}  // namespace hipgpt::cpu
