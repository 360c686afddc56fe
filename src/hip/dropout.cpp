// Residual addition and dropout: 12 bytes per element, or 8 without x, and half of that in bf16. It is
// memory-bound: the minimum time is these bytes divided by the bandwidth. With dropout, Philox costs about 30
// integer operations per element, fewer than a large GPU does in the time of 12 bytes.
//
// A team of 32 lanes walks along a row. Each lane takes a pack of 16 bytes; one Philox block serves four
// columns. A block has 8 rows.
//
// Measured on an H200 (4.3 TB/s by copying), 16384 x 384: 94 % of this bandwidth without dropout, 90 % with
// it, 84 % without x.
#include <algorithm>

#include "device/check.h"
#include "hip/bf16.h"
#include "hip/check.h"
#include "hip/dropout_mask.h"
#include "hip/reduce.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

constexpr int kThreads = 256, kRows = kThreads / kTeam;
constexpr int kPacksPerThread = 4;  // if the row is long enough

template <bool kAligned, typename T>
__global__ void __launch_bounds__(kThreads)
    add_dropout_kernel(T* y, const T* x, const T* branch, DropoutMask mask, int rows, int width) {
  constexpr int kPack = kVecSize<T>;
  const int row = blockIdx.x * kRows + threadIdx.x / kTeam;
  if (row >= rows) return;
  const int64_t begin = static_cast<int64_t>(row) * width;
  const int first = kPack * (blockIdx.y * kTeam + threadIdx.x % kTeam), step = kPack * gridDim.y * kTeam;
#pragma unroll kPacksPerThread
  for (int column = first; column < width; column += step) {
    Vec<float, kPack> v = load_floats<kAligned, kPack>(branch + begin, column, width);
    if (mask.p > 0.0f) v = v * mask.factors<kPack>(row, column);
    if (x != nullptr) v = load_floats<kAligned, kPack>(x + begin, column, width) + v;
    store_floats<kAligned>(y + begin, column, width, v);
  }
}

}  // namespace

void add_dropout(const Stream& stream, Tensor y, Tensor x, Tensor branch, const Dropout& dropout) {
  check::add_dropout(y, x, branch, dropout);
  const int rows = static_cast<int>(branch.dim(0)), width = static_cast<int>(branch.dim(1));
  with_type_of(branch, [&](auto type) {
    using T = decltype(type);
    constexpr int kColumns = kVecSize<T> * kTeam * kPacksPerThread;
    const dim3 grid((rows + kRows - 1) / kRows, std::min((width + kColumns - 1) / kColumns, 65535));
    const auto kernel = rows_aligned(width, elements<T>(y), elements<T>(x), elements<T>(branch))
                            ? add_dropout_kernel<true, T>
                            : add_dropout_kernel<false, T>;
    hipLaunchKernelGGL(kernel, grid, dim3(kThreads), 0, stream.handle, elements<T>(y), elements<T>(x),
                       elements<T>(branch), DropoutMask(dropout), rows, width);
  });
  HIP_CHECK_LAUNCH("add_dropout");
}

}  // namespace hipgpt::hip
