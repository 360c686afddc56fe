// Parallel loops whose results never depend on the number of threads.
//
// The shape alone determines how work is divided into pieces. One thread computes a piece, and no two pieces
// add into the same element. One thread and a hundred therefore give the same bits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/thread_pool.h"
#include "cpu/vector_level.h"

namespace hipgpt::cpu {

#if defined(__x86_64__)
template <typename F>
[[gnu::flatten]] HIPGPT_AVX2 void call_with_avx2(const F& f) {
  f();
}
template <typename F>
[[gnu::flatten]] HIPGPT_AVX512 void call_with_avx512(const F& f) {
  f();
}
#endif

/// Calls f(), compiled for the vectors of this processor: the compiler inlines f and what it calls into a
/// function for each level, and vectorises its loops there. Results may depend on the level, which has fused
/// multiply-adds from kAVX2 on.
template <typename F>
void vectorized(const F& f) {
#if defined(__x86_64__)
  const VectorLevel level = vector_level();
  if (level >= VectorLevel::kAVX512) return call_with_avx512(f);
  if (level >= VectorLevel::kAVX2) return call_with_avx2(f);
#endif
  f();
}

/// Calls f(begin, end), vectorized, for consecutive ranges of `grain` elements that cover [0, n).
template <typename F>
void parallel_ranges(ThreadPool& threads, int64_t n, int64_t grain, const F& f) {
  threads.run((n + grain - 1) / grain, [&](int64_t r) {
    const int64_t begin = r * grain, end = std::min(n, begin + grain);
    vectorized([&] { f(begin, end); });
  });
}

/// How many rows of `width` floats make a piece worth a thread: about 32 KiB, the size of a first-level
/// cache.
inline int64_t rows_per_range(int64_t width) {
  return std::max<int64_t>(1, 8192 / std::max<int64_t>(1, width));
}

/// Returns at least `floats` floats that belong to the calling thread until its next call. The memory only
/// grows, so a training step allocates nothing after the first.
inline float* thread_scratch(int64_t floats) {
  thread_local std::vector<float> scratch;
  if (static_cast<int64_t>(scratch.size()) < floats) scratch.resize(static_cast<size_t>(floats));
  return scratch.data();
}

}  // namespace hipgpt::cpu
