// Attention of new tokens to a cache, for generation.
//
// A single token (T = 1) reads all keys and values once, 4 operations for each pair of 4 or 2 bytes, so the
// memory's speed is its limit. Caches may be bf16 beside queries in fp32; the kernels widen them in registers. For
// several tokens, as in a prompt, a task widens the keys and values of a head and calls OpenBLAS.
#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "cpu/bf16.h"
#include "cpu/cpu_device.h"
#include "cpu/elements.h"
#include "cpu/parallel.h"
#include "cpu/softmax.h"
#include "cpu/vec.h"
#include "cpu/vector_level.h"
#include "cpu/widen.h"
#include "device/check.h"

namespace hipgpt::cpu {

namespace {

constexpr int64_t kBlock = 64;  // rows of queries of a task

/// For processors without a kernel below. The compiler vectorises the second loop.
namespace baseline {

template <typename Cache>
void score_keys(float* scores, const float* q, const Cache* k, int64_t stride, int64_t keys, int64_t d,
                float scale) {
  for (int64_t j = 0; j < keys; ++j) {
    float score = 0.0f;
#pragma omp simd reduction(+ : score)
    for (int64_t e = 0; e < d; ++e) score += q[e] * load(&k[j * stride + e]);
    scores[j] = scale * score;
  }
}

template <typename Cache>
void add_values(float* out, const float* p, const Cache* v, int64_t stride, int64_t keys, int64_t d) {
  std::fill_n(out, d, 0.0f);
  for (int64_t j = 0; j < keys; ++j) {
#pragma omp simd
    for (int64_t e = 0; e < d; ++e) out[e] += p[j] * load(&v[j * stride + e]);
  }
}

}  // namespace baseline

}  // namespace

#if defined(__x86_64__)

namespace avx2 {

#define HIPGPT_TARGET HIPGPT_AVX2
#include "cpu/attention_cached_kernel.h"
#undef HIPGPT_TARGET

}  // namespace avx2

namespace avx512 {

#define HIPGPT_TARGET HIPGPT_AVX512
#include "cpu/attention_cached_kernel.h"
#undef HIPGPT_TARGET

}  // namespace avx512

#endif

namespace {

template <typename Cache>
void score_keys(float* scores, const float* q, const Cache* k, int64_t stride, int64_t keys, int64_t d,
                float scale) {
#if defined(__x86_64__)
  if (vector_level() >= VectorLevel::kAVX512) return avx512::score_keys(scores, q, k, stride, keys, d, scale);
  if (vector_level() >= VectorLevel::kAVX2) return avx2::score_keys(scores, q, k, stride, keys, d, scale);
#endif
  baseline::score_keys(scores, q, k, stride, keys, d, scale);
}

template <typename Cache>
void add_values(float* out, const float* p, const Cache* v, int64_t stride, int64_t keys, int64_t d) {
#if defined(__x86_64__)
  if (vector_level() >= VectorLevel::kAVX512) return avx512::add_values(out, p, v, stride, keys, d);
  if (vector_level() >= VectorLevel::kAVX2) return avx2::add_values(out, p, v, stride, keys, d);
#endif
  baseline::add_values(out, p, v, stride, keys, d);
}

/// row = softmax(row).
void softmax(float* row, int64_t n) {
  const float factor = 1.0f / exp_and_sum(row, n, largest(row, n));
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) row[j] *= factor;
}

/// Rows of one head: `rows` of queries and results, and all keys and values that the last of them sees.
template <typename Cache>
struct Head {
  float* out;
  const float* q;
  const Cache *k, *v;
  int64_t rows, keys, d;
  int64_t out_stride, q_stride, cache_stride;

  void attend() const {
    const float scale = 1.0f / std::sqrt(static_cast<float>(d));
    if (rows == 1) return attend_one(scale);
    float* p = thread_scratch(rows * keys + 2 * keys * d);
    float *wide_k = p + rows * keys, *wide_v = wide_k + keys * d;
    for (int64_t j = 0; j < keys; ++j) {
#pragma omp simd
      for (int64_t e = 0; e < d; ++e) {
        wide_k[j * d + e] = load(&k[j * cache_stride + e]);
        wide_v[j * d + e] = load(&v[j * cache_stride + e]);
      }
    }
    const auto size = [](int64_t n) { return static_cast<blasint>(n); };
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size(rows), size(keys), size(d), scale, q,
                size(q_stride), wide_k, size(d), 0.0f, p, size(keys));
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t seen = keys - rows + i + 1;
      softmax(p + i * keys, seen);
      std::fill(p + i * keys + seen, p + (i + 1) * keys, 0.0f);
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, size(rows), size(d), size(keys), 1.0f, p,
                size(keys), wide_v, size(d), 0.0f, out, size(out_stride));
  }

  void attend_one(float scale) const {
    float* p = thread_scratch(keys);
    score_keys(p, q, k, cache_stride, keys, d, scale);
    softmax(p, keys);
    add_values(out, p, v, cache_stride, keys, d);
  }
};

template <typename Cache>
void attention_cached(ThreadPool& threads, Tensor out, Cache* keys, Cache* values, int64_t capacity,
                      Tensor qkv, int heads, int64_t past) {
  const int64_t batch = qkv.dim(0), count = qkv.dim(1), width = qkv.dim(2) / 3, d = width / heads;
  for (int64_t i = 0; i < batch * count; ++i) {
    const float* row = qkv.f32() + i * 3 * width;
    const int64_t at = (i / count * capacity + past + i % count) * width;
    store_row(keys + at, row + width, width);
    store_row(values + at, row + 2 * width, width);
  }
  const int64_t blocks = (count + kBlock - 1) / kBlock;
  const auto attend_head = [&](int64_t task) {
    const int64_t b = task / blocks / heads, column = task / blocks % heads * d;
    const int64_t first = task % blocks * kBlock, rows = std::min(kBlock, count - first);
    const int64_t row = b * count + first, cached = b * capacity * width + column;
    const Head<Cache> head{.out = out.f32() + row * width + column,
                           .q = qkv.f32() + row * 3 * width + column,
                           .k = keys + cached,
                           .v = values + cached,
                           .rows = rows,
                           .keys = past + first + rows,
                           .d = d,
                           .out_stride = width,
                           .q_stride = 3 * width,
                           .cache_stride = width};
    head.attend();
  };
  // With a short context, a single token's attention is too little work to divide among threads.
  const int64_t tasks = batch * heads * blocks;
  if (batch * count * (past + count) * width > (1 << 18)) return threads.run(tasks, attend_head);
  for (int64_t task = 0; task < tasks; ++task) attend_head(task);
}

}  // namespace

void attention_cached(ThreadPool& threads, Tensor out, Tensor keys, Tensor values, Tensor qkv, int heads,
                      Tensor past_length) {
  const auto is_bf16 = [](const Tensor& cache) {
    return cache.dtype() == DType::kBF16 && cache.rank() == 3 && cache.contiguous();
  };
  const bool narrow = qkv.dtype() == DType::kF32 && is_bf16(keys) && is_bf16(values);
  check::attention_cached(out, narrow ? in_fp32(keys) : keys, narrow ? in_fp32(values) : values, qkv, heads,
                          past_length);
  if (qkv.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return attention_cached(threads, fp32.write(out), fp32.write(keys), fp32.write(values), fp32.read(qkv),
                            heads, past_length);
  }
  const int64_t capacity = keys.dim(1);
  check::ids("attention_cached", "past", past_length.i32(), 1, capacity - qkv.dim(1) + 1, "the cache");
  const int64_t past = *past_length.i32();
  if (narrow) {
    attention_cached(threads, out, keys.bf16(), values.bf16(), capacity, qkv, heads, past);
  } else {
    attention_cached(threads, out, keys.f32(), values.f32(), capacity, qkv, heads, past);
  }
}

}  // namespace hipgpt::cpu
