// LayerNorm, forward and backward. Each element takes a few operations and these bytes, or half of them in
// bf16:
//   layernorm            8: reads x, writes y
//   residual_layernorm  16: reads x and branch, writes sum and y; with dropout, also computes Philox
//   layernorm_backward  16: reads x, dy and dx, writes dx; also 24 per column of a block's partial sums
// So it is memory-bound: the minimum time is these bytes divided by the bandwidth.
//
// The threads of a row hold it in registers as floats, each with a pack of 16 bytes (4 columns of fp32, 8 of
// bf16) of every chunk. So memory is read once, and the variance is computed with the exact mean. For up to
// 1024 columns (512 backward), a team of 32 lanes holds a row, and a block has 8 teams. Wider rows take the
// whole block of 256 threads, or half of it where each thread would have no pack. Rows wider than 8192 (4096
// backward) do not fit and are read again from the cache.
//
// dw, db and the sum of dx are sums over rows. Each team (or block) walks over rows that are far apart and sums them
// in registers. Then the block adds the sums of its teams and writes one row [3, width] of partial sums to
// scratch. A second kernel adds these rows. The order of additions depends only on the shape and
// the number of compute units.
//
// Measured on an H200 (4.3 TB/s by copying), 16384 x 384 and 8192 x 768: forward reaches 83 % of this
// bandwidth, and forward with residual 84 to 86 %. Backward reaches 83 and 70 %. With the sums of dx, and in bf16,
// 32768 x 768 take 76 us (62 %) instead of 65, which saves the 18 us of reading dx once more.
#include <algorithm>

#include "device/check.h"
#include "error.h"
#include "hip/bf16.h"
#include "hip/check.h"
#include "hip/column_sums.h"
#include "hip/dropout_mask.h"
#include "hip/reduce.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

constexpr int kThreads = 256;
constexpr float kEpsilon = 1e-5f;

// ---- Functions of all threads of a row ------------------------------------------------------------------

/// The floats of a pack of T.
template <typename T>
using Floats = Vec<float, kVecSize<T>>;

template <bool kAligned, typename T>
__device__ Floats<T> load_row(const T* row, int column, int width) {
  return load_floats<kAligned, kVecSize<T>>(row, column, width);
}

/// Returns (v - mean) scale, and zero beyond the row's end.
template <bool kAligned, int kPack>
__device__ Vec<float, kPack> centered(Vec<float, kPack> v, float mean, float scale, int column, int width) {
#pragma unroll
  for (int e = 0; e < kPack; ++e) v[e] = column + (kAligned ? 0 : e) < width ? (v[e] - mean) * scale : 0.0f;
  return v;
}

/// Sums each of kCount values over the kLanes threads of a row. Each thread receives the sums. All threads of
/// the block must call it.
template <int kLanes, int kCount>
__device__ void row_sums(float (&v)[kCount]) {
#pragma unroll
  for (int n = 0; n < kCount; ++n) v[n] = reduce_lanes<kTeam>(v[n], Add());
  if constexpr (kLanes > kTeam) {
    constexpr int kParts = kLanes / kTeam;
    HIPGPT_SHARED(float, parts, [kThreads / kTeam][kCount]);
    const int team = threadIdx.x / kTeam, first = team / kParts * kParts;
    __syncthreads();  // earlier reads of `parts` are done
    if (threadIdx.x % kTeam == 0)
#pragma unroll
      for (int n = 0; n < kCount; ++n) parts[team][n] = v[n];
    __syncthreads();
#pragma unroll
    for (int n = 0; n < kCount; ++n)
      v[n] = add_in_order(parts[first][n], &parts[first + 1][n], kParts - 1, kCount);
  }
}

template <int kLanes>
__device__ float row_sum(float value) {
  float v[1] = {value};
  row_sums<kLanes>(v);
  return v[0];
}

// ---- Forward --------------------------------------------------------------------------------------------

template <typename T>
struct Forward {
  T* y;
  float *mean, *rstd;
  const T* x;
  const float *w, *b;
  T* sum;  // only for residual_layernorm, like the next two members
  const T* branch;
  DropoutMask mask;
  int rows, width;
};

/// Returns the pack of x that starts at `column`. If kResidual, returns x + dropout(branch), rounded to T,
/// and writes it to `sum`.
template <bool kAligned, bool kResidual, typename T>
__device__ Floats<T> load_input(const Forward<T>& a, int row, int column, int width) {
  const int64_t begin = static_cast<int64_t>(row) * a.width;
  Floats<T> v = load_row<kAligned>(a.x + begin, column, width);
  if constexpr (kResidual) {
    Floats<T> branch = load_row<kAligned>(a.branch + begin, column, width);
    if (a.mask.p > 0.0f) branch = branch * a.mask.template factors<kVecSize<T>>(row, column);
    const auto sum = from_floats<T>(v + branch);
    store<kAligned>(a.sum + begin, column, width, sum);
    v = to_floats(sum);
  }
  return v;
}

template <bool kAligned, typename T>
__device__ void store_output(const Forward<T>& a, int row, int column, int width, Floats<T> normalized) {
  const Floats<T> w = load_floats<kAligned, kVecSize<T>>(a.w, column, width),
                  b = load_floats<kAligned, kVecSize<T>>(a.b, column, width);
  store_floats<kAligned>(a.y + static_cast<int64_t>(row) * a.width, column, width, normalized * w + b);
}

template <int kLanes, int kChunks, bool kAligned, bool kResidual, typename T>
__global__ void __launch_bounds__(kThreads) forward_kernel(Forward<T> a) {
  constexpr int kPack = kVecSize<T>;
  const int lane = threadIdx.x % kLanes, row = blockIdx.x * (kThreads / kLanes) + threadIdx.x / kLanes;
  const int width = row < a.rows ? a.width : 0;  // 0 for a team without a row
  Floats<T> v[kChunks];
  float total = 0.0f;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    v[c] = load_input<kAligned, kResidual>(a, row, kPack * (c * kLanes + lane), width);
    total += sum_of(v[c]);
  }
  const float mean = row_sum<kLanes>(total) / a.width;
  float squares = 0.0f;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    v[c] = centered<kAligned>(v[c], mean, 1.0f, kPack * (c * kLanes + lane), width);
    squares += sum_of(v[c] * v[c]);
  }
  const float rstd = 1.0f / sqrtf(row_sum<kLanes>(squares) / a.width + kEpsilon);
#pragma unroll
  for (int c = 0; c < kChunks; ++c)
    store_output<kAligned>(a, row, kPack * (c * kLanes + lane), width, v[c] * rstd);
  if (lane == 0 && row < a.rows) {
    a.mean[row] = mean;
    a.rstd[row] = rstd;
  }
}

/// For any width. Reads the row three times, first from memory and then from the cache.
template <bool kAligned, bool kResidual, typename T>
__global__ void __launch_bounds__(kThreads) forward_wide_kernel(Forward<T> a) {
  constexpr int kPack = kVecSize<T>, kStep = kPack * kThreads;
  const int row = blockIdx.x, first = kPack * threadIdx.x;
  const int64_t begin = static_cast<int64_t>(row) * a.width;
  float total = 0.0f;
  for (int column = first; column < a.width; column += kStep)
    total += sum_of(load_input<kAligned, kResidual>(a, row, column, a.width));
  const float mean = row_sum<kThreads>(total) / a.width;
  const T* input = (kResidual ? a.sum : a.x) + begin;  // every thread reads what it wrote
  float squares = 0.0f;
  for (int column = first; column < a.width; column += kStep) {
    const Floats<T> d =
        centered<kAligned>(load_row<kAligned>(input, column, a.width), mean, 1.0f, column, a.width);
    squares += sum_of(d * d);
  }
  const float rstd = 1.0f / sqrtf(row_sum<kThreads>(squares) / a.width + kEpsilon);
  for (int column = first; column < a.width; column += kStep)
    store_output<kAligned>(
        a, row, column, a.width,
        centered<kAligned>(load_row<kAligned>(input, column, a.width), mean, rstd, column, a.width));
  if (threadIdx.x == 0) {
    a.mean[row] = mean;
    a.rstd[row] = rstd;
  }
}

template <int kLanes, int kWidth, bool kAligned, bool kResidual, typename T>
void launch_forward(const Stream& stream, const Forward<T>& a) {
  constexpr int kTeams = kThreads / kLanes, kChunks = kWidth / (kLanes * kVecSize<T>);
  static_assert(kChunks * kLanes * kVecSize<T> == kWidth);
  hipLaunchKernelGGL((forward_kernel<kLanes, kChunks, kAligned, kResidual, T>),
                     dim3((a.rows + kTeams - 1) / kTeams), dim3(kThreads), 0, stream.handle, a);
}

template <bool kAligned, bool kResidual, typename T>
void launch_forward(const Stream& stream, const Forward<T>& a) {
  if (a.width <= 256) {
    launch_forward<kTeam, 256, kAligned, kResidual>(stream, a);
  } else if (a.width <= 512) {
    launch_forward<kTeam, 512, kAligned, kResidual>(stream, a);
  } else if (a.width <= 1024) {
    launch_forward<kTeam, 1024, kAligned, kResidual>(stream, a);
  } else if (a.width <= 2048) {
    launch_forward<kThreads, 2048, kAligned, kResidual>(stream, a);
  } else if (a.width <= 8192) {
    launch_forward<kThreads, 8192, kAligned, kResidual>(stream, a);
  } else {
    hipLaunchKernelGGL((forward_wide_kernel<kAligned, kResidual, T>), dim3(a.rows), dim3(kThreads), 0,
                       stream.handle, a);
  }
}

template <bool kResidual, typename T>
void launch_forward(const Stream& stream, const Forward<T>& a) {
  if (packs_aligned(kVecSize<T>, a.width, a.sum, a.y, a.x, a.branch, a.w, a.b)) {
    launch_forward<true, kResidual>(stream, a);
  } else {
    launch_forward<false, kResidual>(stream, a);
  }
}

// ---- Backward -------------------------------------------------------------------------------------------

template <typename T>
struct Backward {
  T* dx;
  float* partial;  // [blocks, sums, width]: sums for dw, then for db, and of dx
  int sums;        // 2 or 3
  const T *dy, *x;
  const float *w, *mean, *rstd;
  int rows, width;
};

/// The terms of a row's gradients: dw sums dy xh, db sums dy, and dx needs g = dy w and xh.
template <typename T>
struct Terms {
  Floats<T> dy, xh, g;
};

template <bool kAligned, typename T>
__device__ Terms<T> load_terms(const Backward<T>& a, int64_t begin, int column, int width, float mean,
                               float rstd) {
  const Floats<T> dy = load_row<kAligned>(a.dy + begin, column, width),
                  x = load_row<kAligned>(a.x + begin, column, width);
  return {dy, centered<kAligned>(x, mean, rstd, column, width),
          dy * load_floats<kAligned, kVecSize<T>>(a.w, column, width)};
}

/// Returns dx + rstd (g - mean(g) - xh mean(g xh)).
template <typename T>
__device__ Floats<T> add_gradient(Floats<T> dx, const Terms<T>& t, float rstd, float mean_g,
                                  float mean_g_xh) {
#pragma unroll
  for (int e = 0; e < kVecSize<T>; ++e) dx[e] += rstd * (t.g[e] - mean_g - t.xh[e] * mean_g_xh);
  return dx;
}

/// Sums `own` over the teams of a block and writes the result to a row of partial sums.
template <int kLanes, int kChunks, bool kAligned, int kPack>
__device__ void store_partial(float* row, int width, const Vec<float, kPack> (&own)[kChunks]) {
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const auto total = kLanes < kThreads ? sum_thread_rows<kThreads, kLanes>(own[c]) : own[c];
    if (threadIdx.x < kLanes)
      store_floats<kAligned>(row, kPack * (c * kLanes + static_cast<int>(threadIdx.x)), width, total);
  }
}

// NVIDIA's compiler takes 64 registers for rows of 128 packs, GPT-2's, if asked for four blocks on a compute unit, and 73
// otherwise.
template <int kLanes, int kChunks, bool kAligned, typename T>
__global__ void HIPGPT_LAUNCH_BOUNDS(kThreads, kAligned&& kLanes == 128 ? 4 : 1)
    backward_kernel(Backward<T> a) {
  constexpr int kTeams = kThreads / kLanes, kPack = kVecSize<T>;
  const int lane = threadIdx.x % kLanes, team = threadIdx.x / kLanes;
  Floats<T> dw[kChunks], db[kChunks], dx_sum[kChunks];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) dw[c] = db[c] = dx_sum[c] = Floats<T>{};

  for (int first = blockIdx.x * kTeams; first < a.rows; first += gridDim.x * kTeams) {
    const bool active = first + team < a.rows;
    const int row = active ? first + team : 0;
    const int width = active ? a.width : 0;  // 0 for a team without a row
    const int64_t begin = static_cast<int64_t>(row) * a.width;
    const float rstd = a.rstd[row], mean = a.mean[row];
    Terms<T> terms[kChunks];
    Floats<T> dx[kChunks];
    float sums[2] = {0.0f, 0.0f};
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const int column = kPack * (c * kLanes + lane);
      const Terms<T> t = terms[c] = load_terms<kAligned>(a, begin, column, width, mean, rstd);
      dx[c] = load_row<kAligned>(a.dx + begin, column, width);
      dw[c] = dw[c] + t.dy * t.xh;
      db[c] = db[c] + t.dy;
      sums[0] += sum_of(t.g);
      sums[1] += sum_of(t.g * t.xh);
    }
    row_sums<kLanes>(sums);
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      dx[c] = add_gradient(dx[c], terms[c], rstd, sums[0] / a.width, sums[1] / a.width);
      dx_sum[c] = dx_sum[c] + dx[c];
      store_floats<kAligned>(a.dx + begin, kPack * (c * kLanes + lane), width, dx[c]);
    }
  }
  float* partial = a.partial + static_cast<int64_t>(blockIdx.x) * a.sums * a.width;
  store_partial<kLanes, kChunks, kAligned>(partial, a.width, dw);
  store_partial<kLanes, kChunks, kAligned>(partial + a.width, a.width, db);
  if (a.sums == 3) store_partial<kLanes, kChunks, kAligned>(partial + 2 * a.width, a.width, dx_sum);
}

/// For any width. Reads the row twice. The sums stay in the cache; each is updated by one thread.
template <bool kAligned, typename T>
__global__ void __launch_bounds__(kThreads) backward_wide_kernel(Backward<T> a) {
  constexpr int kPack = kVecSize<T>, kStep = kPack * kThreads;
  float* dw = a.partial + static_cast<int64_t>(blockIdx.x) * a.sums * a.width;
  float *db = dw + a.width, *dx_sum = db + a.width;
  const Floats<T> zero = {};
  for (int row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const bool is_first = row == static_cast<int>(blockIdx.x);
    const int64_t begin = static_cast<int64_t>(row) * a.width;
    const float rstd = a.rstd[row], mean = a.mean[row];
    float sums[2] = {0.0f, 0.0f};
    for (int column = kPack * threadIdx.x; column < a.width; column += kStep) {
      const Terms<T> t = load_terms<kAligned>(a, begin, column, a.width, mean, rstd);
      const Floats<T> dw_before = is_first ? zero : load_floats<kAligned, kPack>(dw, column, a.width);
      const Floats<T> db_before = is_first ? zero : load_floats<kAligned, kPack>(db, column, a.width);
      store_floats<kAligned>(dw, column, a.width, dw_before + t.dy * t.xh);
      store_floats<kAligned>(db, column, a.width, db_before + t.dy);
      sums[0] += sum_of(t.g);
      sums[1] += sum_of(t.g * t.xh);
    }
    row_sums<kThreads>(sums);
    for (int column = kPack * threadIdx.x; column < a.width; column += kStep) {
      const Terms<T> t = load_terms<kAligned>(a, begin, column, a.width, mean, rstd);
      const Floats<T> dx = add_gradient(load_row<kAligned>(a.dx + begin, column, a.width), t, rstd,
                                        sums[0] / a.width, sums[1] / a.width);
      store_floats<kAligned>(a.dx + begin, column, a.width, dx);
      if (a.sums < 3) continue;
      const Floats<T> before = is_first ? zero : load_floats<kAligned, kPack>(dx_sum, column, a.width);
      store_floats<kAligned>(dx_sum, column, a.width, before + dx);
    }
  }
}

template <int kLanes, int kWidth, bool kAligned, typename T>
void launch_backward(const Stream& stream, const Backward<T>& a, int blocks) {
  constexpr int kChunks = kWidth / (kLanes * kVecSize<T>);
  static_assert(kChunks * kLanes * kVecSize<T> == kWidth);
  hipLaunchKernelGGL((backward_kernel<kLanes, kChunks, kAligned, T>), dim3(blocks), dim3(kThreads), 0,
                     stream.handle, a);
}

template <bool kAligned, typename T>
void launch_backward(const Stream& stream, const Backward<T>& a, int blocks) {
  if (a.width <= 256) {
    launch_backward<kTeam, 256, kAligned>(stream, a, blocks);
  } else if (a.width <= 512) {
    launch_backward<kTeam, 512, kAligned>(stream, a, blocks);
  } else if (a.width <= 1024) {
    launch_backward<1024 / kVecSize<T>, 1024, kAligned>(stream, a, blocks);
  } else if (a.width <= 2048) {
    launch_backward<kThreads, 2048, kAligned>(stream, a, blocks);
  } else if (a.width <= 4096) {
    launch_backward<kThreads, 4096, kAligned>(stream, a, blocks);
  } else {
    hipLaunchKernelGGL((backward_wide_kernel<kAligned, T>), dim3(blocks), dim3(kThreads), 0, stream.handle,
                       a);
  }
}

template <typename T>
Forward<T> without_residual(const Tensor& y, const NormStats& stats, const Tensor& x, const Norm& norm) {
  return {.y = elements<T>(y),
          .mean = stats.mean.f32(),
          .rstd = stats.rstd.f32(),
          .x = elements<T>(x),
          .w = norm.weight.f32(),
          .b = norm.bias.f32(),
          .sum = nullptr,
          .branch = nullptr,
          .mask = DropoutMask(Dropout()),
          .rows = static_cast<int>(x.dim(0)),
          .width = static_cast<int>(x.dim(1))};
}

}  // namespace

void layernorm(const Stream& stream, Tensor y, const NormStats& stats, Tensor x, const Norm& norm) {
  check::layernorm(y, stats, x, norm);
  with_type_of(x, [&](auto type) {
    launch_forward<false>(stream, without_residual<decltype(type)>(y, stats, x, norm));
  });
  HIP_CHECK_LAUNCH("layernorm");
}

void residual_layernorm(const Stream& stream, Tensor sum, Tensor y, const NormStats& stats, Tensor x,
                        Tensor branch, const Dropout& dropout, const Norm& norm) {
  check::residual_layernorm(sum, y, stats, x, branch, dropout, norm);
  with_type_of(x, [&](auto type) {
    using T = decltype(type);
    Forward<T> a = without_residual<T>(y, stats, x, norm);
    a.sum = elements<T>(sum);
    a.branch = elements<T>(branch);
    a.mask = DropoutMask(dropout);
    launch_forward<true>(stream, a);
  });
  HIP_CHECK_LAUNCH("residual_layernorm");
}

void layernorm_backward(const Stream& stream, Tensor dx, const Norm& gradients, Tensor dy, Tensor x,
                        const Norm& norm, const NormStats& stats, Tensor dx_sums) {
  check::layernorm_backward(dx, gradients, dy, x, norm, stats, dx_sums);
  const int rows = static_cast<int>(x.dim(0)), width = static_cast<int>(x.dim(1));
  const int busy = stream.compute_units * (width > 256 && width <= 512 ? 2 : 4);  // as many as fit at once
  const int sums = dx_sums ? 3 : 2;
  const int64_t fit = stream.scratch_floats / (sums * static_cast<int64_t>(width));
  if (fit == 0) throw Error("layernorm_backward: too little scratch memory for a row this wide");
  int blocks = 0;
  with_type_of(x, [&](auto type) {
    using T = decltype(type);
    const int at_once = width <= 512 ? kThreads / kTeam : width <= 1024 ? kThreads * kVecSize<T> / 1024 : 1;
    blocks = static_cast<int>(std::min<int64_t>({(rows + at_once - 1) / at_once, busy, fit}));
    const Backward<T> a = {.dx = elements<T>(dx),
                           .partial = stream.scratch,
                           .sums = sums,
                           .dy = elements<T>(dy),
                           .x = elements<T>(x),
                           .w = norm.weight.f32(),
                           .mean = stats.mean.f32(),
                           .rstd = stats.rstd.f32(),
                           .rows = rows,
                           .width = width};
    if (packs_aligned(kVecSize<T>, width, a.dx, a.partial, a.dy, a.x, a.w)) {
      launch_backward<true>(stream, a, blocks);
    } else {
      launch_backward<false>(stream, a, blocks);
    }
  });
  HIP_CHECK_LAUNCH("layernorm_backward");
  add_partial_sums(stream,
                   {{gradients.weight.f32(), gradients.bias.f32(), dx_sums ? dx_sums.f32() : nullptr}, width},
                   stream.scratch, blocks);
}

}  // namespace hipgpt::hip
