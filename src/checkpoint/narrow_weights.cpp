#include "checkpoint/narrow_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>
#include <vector>

#include "checkpoint/float_values.h"
#include "util/bf16.h"
#include "util/int8.h"
#include "util/parallel.h"

namespace hipgpt {

namespace {

constexpr int64_t kGroup = Int8Group::kSize;

/// Elements [k, k + count) of row j, at most a group.
void convert_group(const Tensor& weight, int64_t j, int64_t k, const float* values, int64_t count) {
  const int64_t in = weight.dim(1);
  if (weight.dtype() == DType::kBF16) {
    uint16_t* to = weight.bf16() + j * in + k;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) to[i] = to_bf16(values[i]);
    return;
  }
  const int64_t groups = (in + kGroup - 1) / kGroup;
  Int8Group& group = static_cast<Int8Group*>(weight.data())[j * groups + k / kGroup];
  group = {};  // `count` is less than a group at the end of a row
  group.scale = round_to_int8(group.values, values, count);
}

/// Rows [begin, end) of a weight that is stored [out,in].
void convert_rows(const Tensor& weight, const SafetensorsTensor& stored, int64_t begin, int64_t end) {
  const int64_t in = weight.dim(1);
  std::vector<float> row(static_cast<size_t>(in));
  for (int64_t j = begin; j < end; ++j) {
    read_floats(row, stored, static_cast<size_t>(j * in));
    for (int64_t k = 0; k < in; k += kGroup)
      convert_group(weight, j, k, row.data() + k, std::min(kGroup, in - k));
  }
}

/// The same rows of a weight that is stored [in,out], where they are columns. Tiles of 64 x 64 stay in the
/// first-level cache while they are transposed.
void convert_columns(const Tensor& weight, const SafetensorsTensor& stored, int64_t begin, int64_t end) {
  const int64_t out = weight.dim(0), in = weight.dim(1);
  std::vector<float> tile(kGroup * kGroup), column(kGroup);
  for (int64_t k = 0; k < in; k += kGroup) {
    const int64_t rows = std::min(kGroup, in - k);
    for (int64_t first = begin; first < end; first += kGroup) {
      const int64_t count = std::min(kGroup, end - first);
      for (int64_t i = 0; i < rows; ++i) {
        read_floats({tile.data() + i * kGroup, static_cast<size_t>(count)}, stored,
                    static_cast<size_t>((k + i) * out + first));
      }
      for (int64_t j = 0; j < count; ++j) {
        for (int64_t i = 0; i < rows; ++i)
          column[static_cast<size_t>(i)] = tile[static_cast<size_t>(i * kGroup + j)];
        convert_group(weight, first + j, k, column.data(), rows);
      }
    }
  }
}

}  // namespace

void convert_weight(Tensor weight, const SafetensorsTensor& stored, Layout layout) {
  const int64_t out = weight.dim(0), columns = std::min<int64_t>(out, 512);  // of a job
  parallel_for(static_cast<size_t>((out + columns - 1) / columns), available_cores(), [&](size_t job, int) {
    const int64_t begin = static_cast<int64_t>(job) * columns, end = std::min(out, begin + columns);
    if (layout == Layout::kOutIn) {
      convert_rows(weight, stored, begin, end);
    } else {
      convert_columns(weight, stored, begin, end);
    }
  });
}

}  // namespace hipgpt
