// Residual addition and dropout: 12 bytes per element. Memory is the bound without dropout, and the generator
// (about 10 multiplications per element) with dropout.

#include "cpu/bf16.h"
#include "cpu/cpu_device.h"
#include "cpu/dropout_mask.h"
#include "cpu/parallel.h"
#include "device/check.h"

namespace hipgpt::cpu {

void add_dropout(ThreadPool& threads, Tensor y, Tensor x, Tensor branch, const Dropout& dropout) {
  check::add_dropout(y, x, branch, dropout);
  if (y.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return add_dropout(threads, fp32.write(y), fp32.read(x), fp32.read(branch), dropout);
  }
  const int64_t rows = branch.dim(0), width = branch.dim(1);
  float* out = y.f32();
  const float *residual = x ? x.f32() : nullptr, *in = branch.f32();
  parallel_ranges(threads, rows, rows_per_range(width), [=](int64_t begin, int64_t end) {
    if (dropout.p == 0.0f && residual != nullptr) {
#pragma omp simd
      for (int64_t i = begin * width; i < end * width; ++i) out[i] = residual[i] + in[i];
      return;
    }
    float* factor = thread_scratch(width);
    for (int64_t r = begin; r < end; ++r) {
      dropout_factors(factor, width, r, dropout);
      for (int64_t e = 0; e < width; ++e) {
        const int64_t i = r * width + e;
        out[i] = (residual != nullptr ? residual[i] : 0.0f) + factor[e] * in[i];
      }
    }
  });
}

}  // namespace hipgpt::cpu
