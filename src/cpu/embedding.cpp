// Token and position embeddings. The forward pass reads two rows and writes one: 12 E bytes per token,
// memory-bound.

#include "cpu/cpu_device.h"
#include "cpu/elements.h"
#include "cpu/parallel.h"
#include "cpu/widen.h"
#include "device/check.h"

namespace hipgpt::cpu {

void embedding(ThreadPool& threads, Tensor y, Tensor tokens, Tensor wte, Tensor wpe, Tensor first_position) {
  check::embedding(y, tokens, is_narrow(y, wte) ? in_fp32(wte) : wte, wpe, first_position);
  const int64_t seq_len = tokens.dim(1), width = wte.dim(1);
  check::ids("embedding", "tokens", tokens.i32(), tokens.size(), wte.dim(0), "wte");
  if (first_position) {
    check::ids("embedding", "first_position", first_position.i32(), 1, wpe.dim(0) - seq_len + 1, "wpe");
  }
  const int64_t first = first_position ? *first_position.i32() : 0;
  const int32_t* ids = tokens.i32();
  with_elements(y, [&](auto element) {
    using T = decltype(element);
    const T* position_rows = elements<T>(wpe) + first * width;
    T* out = elements<T>(y);
    parallel_ranges(threads, tokens.size(), rows_per_range(width), [=](int64_t begin, int64_t end) {
      float* token = thread_scratch(width);
      for (int64_t i = begin; i < end; ++i) {
        const T* position = position_rows + i % seq_len * width;
        widen_row(token, wte, ids[i]);
#pragma omp simd
        for (int64_t e = 0; e < width; ++e) store(out + i * width + e, token[e] + load(position + e));
      }
    });
  });
}

void embedding_backward(ThreadPool& threads, Tensor dwte, Tensor dwpe, Tensor dy, Tensor tokens) {
  check::embedding_backward(dwte, dwpe, dy, tokens);
  // A token may occur several times, so threads divide the columns, not the tokens. Each thread adds its
  // columns of all rows in text order. A range of 32 columns fills two cache lines that no other thread
  // touches.
  constexpr int64_t kColumns = 32;
  const int64_t seq_len = tokens.dim(1), width = dwte.dim(1), count = tokens.size();
  check::ids("embedding_backward", "tokens", tokens.i32(), count, dwte.dim(0), "dwte");
  const int32_t* ids = tokens.i32();
  float *token_rows = dwte.f32(), *position_rows = dwpe.f32();
  with_elements(dy, [&](auto element) {
    using T = decltype(element);
    const T* in = elements<T>(dy);
    parallel_ranges(threads, width, kColumns, [=](int64_t begin, int64_t end) {
      for (int64_t i = 0; i < count; ++i) {
        const T* row = in + i * width;
        float *a = token_rows + ids[i] * width, *b = position_rows + i % seq_len * width;
#pragma omp simd
        for (int64_t e = begin; e < end; ++e) {
          a[e] += load(row + e);
          b[e] += load(row + e);
        }
      }
    });
  });
}

}  // namespace hipgpt::cpu
