// Residual addition and dropout: 12 bytes an element, bound by memory without dropout and by the generator
// (about 10 multiplications an element) with it.
#include <cassert>

#include "cpu/cpu_device.h"
#include "cpu/dropout_mask.h"
#include "cpu/parallel.h"

namespace hipgpt {

void CpuDevice::add_dropout(Tensor y, Tensor x, Tensor branch, const Dropout& dropout) {
  const int64_t rows = branch.dim(0), width = branch.dim(1);
  assert(y.size() == branch.size() && (!x || x.size() == branch.size()));
  float* out = y.f32();
  const float *residual = x ? x.f32() : nullptr, *in = branch.f32();
  cpu::parallel_ranges(threads_, rows, cpu::rows_per_range(width), [=](int64_t begin, int64_t end) {
    if (dropout.p == 0.0f && residual != nullptr) {
#pragma omp simd
      for (int64_t i = begin * width; i < end * width; ++i) out[i] = residual[i] + in[i];
      return;
    }
    float* factor = cpu::thread_scratch(width);
    for (int64_t r = begin; r < end; ++r) {
      cpu::dropout_factors(factor, width, r, dropout);
      for (int64_t e = 0; e < width; ++e) {
        const int64_t i = r * width + e;
        out[i] = (residual != nullptr ? residual[i] : 0.0f) + factor[e] * in[i];
      }
    }
  });
}

void CpuDevice::dropout_backward(Tensor dbranch, Tensor dy, const Dropout& dropout) {
  add_dropout(dbranch, Tensor(), dy, dropout);  // the mask is the same linear map in both directions
}

}  // namespace hipgpt
