// Residual addition and dropout: 12 bytes per element, or 8 without x. It is memory-bound: the minimum time
// is these bytes divided by the bandwidth. With dropout, Philox costs about 30 integer operations per
// element, fewer than a large GPU does in the time of 12 bytes.
//
// A team of 32 lanes walks along a row. Each lane takes four columns (a vec4), because one Philox block
// serves four columns. A block has 8 rows.
//
// Measured on an H200 (4.3 TB/s by copying), 16384 x 384: 94 % of this bandwidth without dropout, 90 % with
// it, 84 % without x.
#include <algorithm>

#include "device/check.h"
#include "hip/check.h"
#include "hip/dropout_mask.h"
#include "hip/reduce.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

constexpr int kThreads = 256, kRows = kThreads / kTeam;
constexpr int kVecsPerThread = 4;  // if the row is long enough

template <bool kAligned>
__global__ void __launch_bounds__(kThreads)
    add_dropout_kernel(float* y, const float* x, const float* branch, DropoutMask mask, int rows, int width) {
  const int row = blockIdx.x * kRows + threadIdx.x / kTeam;
  if (row >= rows) return;
  const int64_t begin = static_cast<int64_t>(row) * width;
  const int first = 4 * (blockIdx.y * kTeam + threadIdx.x % kTeam), step = 4 * gridDim.y * kTeam;
#pragma unroll kVecsPerThread
  for (int column = first; column < width; column += step) {
    vec4 v = load<kAligned>(branch + begin, column, width);
    if (mask.p > 0.0f) v = v * mask.factors(row, column / 4);
    if (x != nullptr) v = load<kAligned>(x + begin, column, width) + v;
    store<kAligned>(y + begin, column, width, v);
  }
}

}  // namespace

void add_dropout(const Stream& stream, Tensor y, Tensor x, Tensor branch, const Dropout& dropout) {
  check::add_dropout(y, x, branch, dropout);
  const int rows = static_cast<int>(branch.dim(0)), width = static_cast<int>(branch.dim(1));
  constexpr int kColumns = 4 * kTeam * kVecsPerThread;
  const dim3 grid((rows + kRows - 1) / kRows, std::min((width + kColumns - 1) / kColumns, 65535));
  const auto kernel = rows_aligned(width, y.f32(), x.f32(), branch.f32()) ? add_dropout_kernel<true>
                                                                          : add_dropout_kernel<false>;
  hipLaunchKernelGGL(kernel, grid, dim3(kThreads), 0, stream.handle, y.f32(), x.f32(), branch.f32(),
                     DropoutMask(dropout), rows, width);
  HIP_CHECK_LAUNCH("add_dropout");
}

}  // namespace hipgpt::hip
