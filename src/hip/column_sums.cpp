// Sums of columns: n additions on 4 or 2 n bytes, bound by memory. Every block sums some rows of 32 columns, and a second
// kernel adds these partial sums. Where a kernel has a matrix in registers anyway, it writes partial sums itself,
// which saves reading the matrix again: 46 to 60 us for each of the wider matrices of GPT-2 at B=32 on an H200.
#include "hip/column_sums.h"

#include <algorithm>

#include "hip/bf16.h"
#include "hip/check.h"
#include "hip/launch.h"
#include "hip/reduce.h"

namespace hipgpt::hip {

namespace {

constexpr int kThreads = 256, kColumns = 32, kRows = kThreads / kColumns;
constexpr int kMostThreads = 1024;  // of a block of add_partial_sums_kernel

/// Writes the sums of the part_rows rows that start at part_rows blockIdx.y to row blockIdx.y of parts [.., n].
template <typename T>
__global__ __launch_bounds__(kThreads) void column_sums_kernel(float* parts, const T* x, int rows, int n,
                                                               int pitch, int part_rows) {
  const int thread_row = threadIdx.x / kColumns;
  const int column = static_cast<int>(blockIdx.x) * kColumns + threadIdx.x % kColumns;
  const int first = static_cast<int>(blockIdx.y) * part_rows;
  const int end = first + part_rows < rows ? first + part_rows : rows;
  float sum = 0.0f;
  if (column < n) {
#pragma unroll 8
    for (int i = first + thread_row; i < end; i += kRows)
      sum += to_float(x[static_cast<int64_t>(i) * pitch + column]);
  }
  sum = sum_thread_rows<kThreads, kColumns>(sum);
  if (thread_row == 0 && column < n) parts[static_cast<int64_t>(blockIdx.y) * n + column] = sum;
}

__global__ void __launch_bounds__(kMostThreads)
    add_partial_sums_kernel(SumsTo to, const float* parts, int count, int columns) {
  constexpr int kPartRows = kMostThreads / kColumns;
  const int row = threadIdx.x / kColumns, column = blockIdx.x * kColumns + threadIdx.x % kColumns;
  float total = 0.0f;
  if (column < columns && row < count)
    total =
        add_in_order(0.0f, parts + static_cast<int64_t>(row) * columns + column,
                     (count - row + kPartRows - 1) / kPartRows, static_cast<int64_t>(kPartRows) * columns);
  total = sum_thread_rows<kMostThreads, kColumns>(total);
  if (row > 0 || column >= columns) return;
  const int which = column / to.width;
  float* sums = which == 0   ? to.sums[0]
                : which == 1 ? to.sums[1]
                             : to.sums[2];  // an index would be in memory
  sums[column - which * to.width] += total;
}

}  // namespace

void add_partial_sums(const Stream& stream, const SumsTo& to, const float* parts, int count) {
  const int columns = to.width * static_cast<int>(std::count_if(std::begin(to.sums), std::end(to.sums),
                                                                [](float* sums) { return sums != nullptr; }));
  hipLaunchKernelGGL(add_partial_sums_kernel, dim3(ceil_div(columns, kColumns)), dim3(kMostThreads), 0,
                     stream.handle, to, parts, count, columns);
  HIP_CHECK_LAUNCH("add_partial_sums_kernel");
}

void add_column_sums(const Stream& stream, Tensor sums, Tensor x) {
  const int m = static_cast<int>(x.dim(0)), n = static_cast<int>(x.dim(1));
  const int parts = static_cast<int>(
      std::max<int64_t>(1, std::min<int64_t>({ceil_div(m, 256), 64, stream.scratch_floats / n})));
  const int part_rows = ceil_div(m, parts);
  with_type_of(x, [&](auto type) {
    using T = decltype(type);
    hipLaunchKernelGGL(column_sums_kernel<T>, dim3(ceil_div(n, kColumns), parts), dim3(kThreads), 0,
                       stream.handle, stream.scratch, elements<T>(x), m, n, static_cast<int>(x.pitch()),
                       part_rows);
  });
  HIP_CHECK_LAUNCH("column_sums_kernel");
  add_partial_sums(stream, {{sums.f32()}, n}, stream.scratch, parts);
}

}  // namespace hipgpt::hip
