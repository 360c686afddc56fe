// Token and position embeddings. The forward pass reads two rows and writes one: 12 E bytes per token,
// memory-bound.

#include "cpu/bf16.h"
#include "cpu/cpu_device.h"
#include "cpu/parallel.h"
#include "cpu/widen.h"
#include "device/check.h"

namespace hipgpt::cpu {

void embedding(ThreadPool& threads, Tensor y, Tensor tokens, Tensor wte, Tensor wpe, Tensor first_position) {
  check::embedding(y, tokens, is_narrow(y, wte) ? in_fp32(wte) : wte, wpe, first_position);
  if (y.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return embedding(threads, fp32.write(y), tokens, fp32.read(wte), fp32.read(wpe), first_position);
  }
  const int64_t seq_len = tokens.dim(1), width = wte.dim(1);
  check::ids("embedding", "tokens", tokens.i32(), tokens.size(), wte.dim(0), "wte");
  if (first_position) {
    check::ids("embedding", "first_position", first_position.i32(), 1, wpe.dim(0) - seq_len + 1, "wpe");
  }
  const int64_t first = first_position ? *first_position.i32() : 0;
  const int32_t* ids = tokens.i32();
  const float* position_rows = wpe.f32() + first * width;
  float* out = y.f32();
  parallel_ranges(threads, tokens.size(), rows_per_range(width), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = out + i * width;
      const float* position = position_rows + i % seq_len * width;
      widen_row(row, wte, ids[i]);
      for (int64_t e = 0; e < width; ++e) row[e] += position[e];
    }
  });
}

void embedding_backward(ThreadPool& threads, Tensor dwte, Tensor dwpe, Tensor dy, Tensor tokens) {
  check::embedding_backward(dwte, dwpe, dy, tokens);
  if (dy.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return embedding_backward(threads, dwte, dwpe, fp32.read(dy), tokens);
  }
  // A token may occur several times, so threads divide the columns, not the tokens. Each thread adds its
  // columns of all rows in text order. A range of 32 columns fills two cache lines that no other thread
  // touches.
  constexpr int64_t kColumns = 32;
  const int64_t seq_len = tokens.dim(1), width = dwte.dim(1), count = tokens.size();
  check::ids("embedding_backward", "tokens", tokens.i32(), count, dwte.dim(0), "dwte");
  const int32_t* ids = tokens.i32();
  const float* in = dy.f32();
  float *token_rows = dwte.f32(), *position_rows = dwpe.f32();
  parallel_ranges(threads, width, kColumns, [=](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < count; ++i) {
      const float* row = in + i * width;
      float *a = token_rows + ids[i] * width, *b = position_rows + i % seq_len * width;
#pragma omp simd
      for (int64_t e = begin; e < end; ++e) {
        a[e] += row[e];
        b[e] += row[e];
      }
    }
  });
}

}  // namespace hipgpt::cpu
