// Softmax cross-entropy and its gradient, in place. Logits are read from memory and written to it once: 8
// bytes and one exp per element.
#include <cmath>

#include "cpu/cpu_device.h"
#include "cpu/elements.h"
#include "cpu/parallel.h"
#include "cpu/softmax.h"
#include "device/check.h"

namespace hipgpt::cpu {

namespace {

/// A row in fp32: the row itself, or a copy in scratch memory of the thread.
inline float* in_fp32(float* row, int64_t) {
  return row;
}
inline float* in_fp32(const uint16_t* row, int64_t n) {
  float* copy = thread_scratch(n);
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) copy[j] = load(row + j);
  return copy;
}

}  // namespace

void cross_entropy(ThreadPool& threads, Tensor losses, Tensor logits, Tensor targets) {
  check::cross_entropy(losses, logits, targets);
  const int64_t rows = logits.dim(0), n = logits.dim(1), pitch = logits.pitch();
  check::ids("cross_entropy", "targets", targets.i32(), rows, n, "a row of logits");
  const int32_t* target = targets.i32();
  float* loss = losses.f32();
  with_elements(logits, [&](auto element) {
    auto* z = elements<decltype(element)>(logits);
    parallel_ranges(threads, rows, rows_per_range(n), [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* row = in_fp32(z + i * pitch, n);
        const float top = largest(row, n);
        float total = 0.0f;
#pragma omp simd reduction(+ : total)
        for (int64_t j = 0; j < n; ++j) total += exp_fast(row[j] - top);
        loss[i] = std::log(total) + (top - row[target[i]]);
      }
    });
  });
}

void cross_entropy_with_gradient(ThreadPool& threads, Tensor losses, Tensor logits, Tensor targets,
                                 float scale) {
  check::cross_entropy_with_gradient(losses, logits, targets, scale);
  const int64_t rows = logits.dim(0), n = logits.dim(1), pitch = logits.pitch();
  check::ids("cross_entropy_with_gradient", "targets", targets.i32(), rows, n, "a row of logits");
  const int32_t* target = targets.i32();
  float* loss = losses.f32();
  with_elements(logits, [&](auto element) {
    auto* z = elements<decltype(element)>(logits);
    parallel_ranges(threads, rows, rows_per_range(n), [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* row = in_fp32(z + i * pitch, n);
        const float top = largest(row, n), wanted = row[target[i]];
        const float total = exp_and_sum(row, n, top);
        loss[i] = std::log(total) + (top - wanted);
        const float factor = scale / total;
        auto* out = z + i * pitch;
        const float of_target = row[target[i]] * factor - scale;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) store(out + j, row[j] * factor);
        store(out + target[i], of_target);
      }
    });
  });
}

}  // namespace hipgpt::cpu
