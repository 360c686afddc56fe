// bf16 on processors without AVX-512: an operation with matrix products makes fp32 copies of its bf16 operands,
// computes, and rounds the results. This is slow. It lets such a CPU run and test what a GPU computes in bf16.
#pragma once

#include <deque>
#include <vector>

#include "cpu/parallel.h"
#include "tensor.h"
#include "util/bf16.h"

namespace hipgpt::cpu {

/// The fp32 copies of an operation's bf16 operands. The destructor rounds the copies of written operands to
/// the originals, the last one first.
class InFp32 {
 public:
  explicit InFp32(ThreadPool& threads) : threads_(threads) {}
  InFp32(const InFp32&) = delete;
  ~InFp32() {
    while (!written_.empty()) {
      round_to(written_.back().first, written_.back().second);
      written_.pop_back();
    }
  }

  /// A copy, or the tensor itself if it is not bf16.
  Tensor read(const Tensor& original) {
    if (!original || original.dtype() != DType::kBF16) return original;
    values_.emplace_back(static_cast<size_t>(original.size()));
    float* values = values_.back().data();
    for_each_row(original, [=](const uint16_t* row, int64_t first, int64_t width) {
#pragma omp simd
      for (int64_t e = 0; e < width; ++e) values[first + e] = from_bf16(row[e]);
    });
    const auto d = [&](int i) { return original.dim(i); };
    switch (original.rank()) {
      case 1: return Tensor(values, {d(0)});
      case 2: return Tensor(values, {d(0), d(1)});
      case 3: return Tensor(values, {d(0), d(1), d(2)});
      default: return Tensor(values, {d(0), d(1), d(2), d(3)});
    }
  }

  /// The same for an operand that the operation writes, and may read.
  Tensor write(const Tensor& original) {
    const Tensor copy = read(original);
    if (copy.data() != original.data()) written_.emplace_back(original, copy);
    return copy;
  }

 private:
  /// Calls f(row, index of its first element, width) for every row.
  template <typename F>
  void for_each_row(const Tensor& t, const F& f) {
    const int64_t width = t.dim(t.rank() - 1);
    if (width == 0) return;
    uint16_t* data = t.bf16();
    const int64_t pitch = t.pitch();
    parallel_ranges(threads_, t.size() / width, rows_per_range(width), [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) f(data + i * pitch, i * width, width);
    });
  }

  void round_to(const Tensor& original, const Tensor& copy) {
    const float* values = copy.f32();
    for_each_row(original, [=](uint16_t* row, int64_t first, int64_t width) {
#pragma omp simd
      for (int64_t e = 0; e < width; ++e) row[e] = to_bf16(values[first + e]);
    });
  }

  ThreadPool& threads_;
  std::deque<std::vector<float>> values_;
  std::vector<std::pair<Tensor, Tensor>> written_;
};

}  // namespace hipgpt::cpu
