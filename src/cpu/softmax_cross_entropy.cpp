// Softmax cross-entropy and its gradient, in place. Logits are read from memory and written to it once: 8
// bytes and one exp per element.
#include <cmath>

#include "cpu/bf16.h"
#include "cpu/cpu_device.h"
#include "cpu/parallel.h"
#include "cpu/softmax.h"
#include "device/check.h"

namespace hipgpt::cpu {

void cross_entropy(ThreadPool& threads, Tensor losses, Tensor logits, Tensor targets) {
  check::cross_entropy(losses, logits, targets);
  if (logits.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return cross_entropy(threads, losses, fp32.read(logits), targets);
  }
  const int64_t rows = logits.dim(0), n = logits.dim(1), pitch = logits.pitch();
  check::ids("cross_entropy", "targets", targets.i32(), rows, n, "a row of logits");
  const float* z = logits.f32();
  const int32_t* target = targets.i32();
  float* loss = losses.f32();
  parallel_ranges(threads, rows, rows_per_range(n), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* row = z + i * pitch;
      const float top = largest(row, n);
      float total = 0.0f;
#pragma omp simd reduction(+ : total)
      for (int64_t j = 0; j < n; ++j) total += exp_fast(row[j] - top);
      loss[i] = std::log(total) + (top - row[target[i]]);
    }
  });
}

void cross_entropy_with_gradient(ThreadPool& threads, Tensor losses, Tensor logits, Tensor targets,
                                 float scale) {
  check::cross_entropy_with_gradient(losses, logits, targets, scale);
  if (logits.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return cross_entropy_with_gradient(threads, losses, fp32.write(logits), targets, scale);
  }
  const int64_t rows = logits.dim(0), n = logits.dim(1), pitch = logits.pitch();
  check::ids("cross_entropy_with_gradient", "targets", targets.i32(), rows, n, "a row of logits");
  float* z = logits.f32();
  const int32_t* target = targets.i32();
  float* loss = losses.f32();
  parallel_ranges(threads, rows, rows_per_range(n), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = z + i * pitch;
      const float top = largest(row, n), wanted = row[target[i]];
      const float total = exp_and_sum(row, n, top);
      loss[i] = std::log(total) + (top - wanted);
      const float factor = scale / total;
#pragma omp simd
      for (int64_t j = 0; j < n; ++j) row[j] *= factor;
      row[target[i]] -= scale;
    }
  });
}

}  // namespace hipgpt::cpu
