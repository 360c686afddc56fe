#include "checkpoint/narrow_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>
#include <vector>

#include "checkpoint/float_values.h"
#include "util/bf16.h"

namespace hipgpt {

namespace {

/// The int8 nearest to each value / scale. `count` is less than a group at the end of a row.
void round_to_int8(Int8Group& group, const float* values, int64_t count) {
  constexpr float kLargest = 127.0f, kSmallest = 1e-30f;  // the inverse of a smaller scale may overflow
  float most = 0.0f;
#pragma omp simd reduction(max : most)
  for (int64_t k = 0; k < count; ++k) most = std::fabs(values[k]) > most ? std::fabs(values[k]) : most;
  group = {};
  if (most < kSmallest) return;
  group.scale = most / kLargest;
  const float inverse = kLargest / most;
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
#pragma omp simd
  for (int64_t k = 0; k < count; ++k) {
    const auto bits = std::bit_cast<int32_t>(values[k] * inverse + kRounder);
    group.values[k] = static_cast<int8_t>(bits - std::bit_cast<int32_t>(kRounder));
  }
}

void convert_row(const Tensor& weight, int64_t j, const float* values) {
  const int64_t in = weight.dim(1);
  const Tensor row = weight.rows(j, 1);
  if (weight.dtype() == DType::kBF16) {
    uint16_t* to = row.bf16();
#pragma omp simd
    for (int64_t k = 0; k < in; ++k) to[k] = to_bf16(values[k]);
    return;
  }
  auto* group = static_cast<Int8Group*>(row.data());
  for (int64_t k = 0; k < in; k += Int8Group::kSize, ++group) {
    round_to_int8(*group, values + k, std::min(Int8Group::kSize, in - k));
  }
}

}  // namespace

void convert_weight(Tensor weight, const SafetensorsTensor& stored, Layout layout) {
  const int64_t out = weight.dim(0), in = weight.dim(1);
  if (layout == Layout::kOutIn) {
    std::vector<float> row(static_cast<size_t>(in));
    for (int64_t j = 0; j < out; ++j) {
      read_floats(row, stored, static_cast<size_t>(j * in));
      convert_row(weight, j, row.data());
    }
    return;
  }
  constexpr int64_t kColumns = 64;  // transposed at a time
  std::vector<float> part(kColumns), rows(static_cast<size_t>(kColumns * in));
  for (int64_t first = 0; first < out; first += kColumns) {
    const int64_t count = std::min(kColumns, out - first);
    for (int64_t k = 0; k < in; ++k) {
      read_floats(std::span(part).first(static_cast<size_t>(count)), stored,
                  static_cast<size_t>(k * out + first));
      for (int64_t j = 0; j < count; ++j)
        rows[static_cast<size_t>(j * in + k)] = part[static_cast<size_t>(j)];
    }
    for (int64_t j = 0; j < count; ++j) convert_row(weight, first + j, rows.data() + j * in);
  }
}

}  // namespace hipgpt
