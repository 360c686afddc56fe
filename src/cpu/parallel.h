// Loops over threads whose results never depend on the number of threads.
//
// Work is cut into pieces by shape alone; a piece is always computed by one thread, and no two pieces add
// into the same element. So one thread and a hundred give the same bits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace hipgpt::cpu {

/// Calls f(i) for i in [0, n), pieces of unequal cost going to whichever thread is free.
template <typename F>
void parallel_for(int threads, std::int64_t n, const F& f) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) if (n > 1 && threads > 1)
  for (std::int64_t i = 0; i < n; ++i) f(i);
}

/// Calls f(begin, end) for consecutive ranges of `grain` elements that cover [0, n).
template <typename F>
void parallel_ranges(int threads, std::int64_t n, std::int64_t grain, const F& f) {
  const std::int64_t ranges = (n + grain - 1) / grain;
#pragma omp parallel for num_threads(threads) schedule(static) if (ranges > 1 && threads > 1)
  for (std::int64_t r = 0; r < ranges; ++r) f(r * grain, std::min(n, (r + 1) * grain));
}

/// How many rows of `width` floats make a piece worth a thread: about 16 KiB, half of a first-level cache.
inline std::int64_t rows_per_range(std::int64_t width) {
  return std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, width));
}

/// At least `floats` floats that belong to the calling thread until its next call. Grows, never shrinks, so
/// that a training step allocates nothing after the first.
inline float* thread_scratch(std::int64_t floats) {
  thread_local std::vector<float> scratch;
  if (static_cast<std::int64_t>(scratch.size()) < floats) scratch.resize(static_cast<std::size_t>(floats));
  return scratch.data();
}

}  // namespace hipgpt::cpu
