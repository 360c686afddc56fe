// LayerNorm in four rungs. All compute the same; they differ in how they read x.
//
// | rung | lines that a wave of 64 touches per read of x | reads of each x |
// |---|---|---|
// | 1 a thread a row        | 64                                     | 3 |
// | 2 a team a row          | 2, in pieces of 4 bytes a lane         | 3 |
// | 3 16-byte loads         | 8, in pieces of 16 bytes a lane        | 3 |
// | 4 the row in registers  | 8                                      | 1 |
#include "hip/check.h"
#include "hip/ladder/ladder.h"
#include "hip/reduce.h"
#include "hip/vec.h"

namespace hipgpt::hip::ladder {

namespace {

constexpr int kThreads = 256, kRows = kThreads / kTeam;  // a block of teams, a row each
constexpr float kEpsilon = 1e-5f;

// ---- 1. A thread a row: the loops of the CPU -------------------------------------------------------------

__global__ void thread_kernel(float* y, const float* x, const float* w, const float* b, int rows, int E) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  x += static_cast<int64_t>(row) * E;
  y += static_cast<int64_t>(row) * E;
  float sum = 0.0f, squares = 0.0f;
  for (int e = 0; e < E; ++e) sum += x[e];
  const float mean = sum / E;
  for (int e = 0; e < E; ++e) squares += (x[e] - mean) * (x[e] - mean);
  const float rstd = 1.0f / sqrtf(squares / E + kEpsilon);
  for (int e = 0; e < E; ++e) y[e] = (x[e] - mean) * rstd * w[e] + b[e];
}

// ---- 2. A team of 32 lanes a row: neighbouring lanes read neighbouring elements --------------------------

__global__ void team_kernel(float* y, const float* x, const float* w, const float* b, int rows, int E) {
  const int lane = threadIdx.x % kTeam, row = blockIdx.x * kRows + threadIdx.x / kTeam;
  if (row >= rows) return;
  x += static_cast<int64_t>(row) * E;
  y += static_cast<int64_t>(row) * E;
  float sum = 0.0f, squares = 0.0f;
  for (int e = lane; e < E; e += kTeam) sum += x[e];
  const float mean = reduce_lanes<kTeam>(sum, Add()) / E;
  for (int e = lane; e < E; e += kTeam) squares += (x[e] - mean) * (x[e] - mean);
  const float rstd = 1.0f / sqrtf(reduce_lanes<kTeam>(squares, Add()) / E + kEpsilon);
  for (int e = lane; e < E; e += kTeam) y[e] = (x[e] - mean) * rstd * w[e] + b[e];
}

// ---- 3. 16-byte loads: a quarter of the instructions -----------------------------------------------------

__device__ vec4 centered(vec4 v, float mean) {
  return map(v, [mean](float a) { return a - mean; });
}

__global__ void vec4_kernel(float* y, const float* x, const float* w, const float* b, int rows, int E) {
  const int first = threadIdx.x % kTeam * 4, row = blockIdx.x * kRows + threadIdx.x / kTeam;
  if (row >= rows) return;
  x += static_cast<int64_t>(row) * E;
  y += static_cast<int64_t>(row) * E;
  float sum = 0.0f, squares = 0.0f;
  for (int e = first; e < E; e += 4 * kTeam) sum += sum_of(load_whole(x + e));
  const float mean = reduce_lanes<kTeam>(sum, Add()) / E;
  for (int e = first; e < E; e += 4 * kTeam) {
    const vec4 d = centered(load_whole(x + e), mean);
    squares += sum_of(d * d);
  }
  const float rstd = 1.0f / sqrtf(reduce_lanes<kTeam>(squares, Add()) / E + kEpsilon);
  for (int e = first; e < E; e += 4 * kTeam)
    store_whole(y + e, centered(load_whole(x + e), mean) * rstd * load_whole(w + e) + load_whole(b + e));
}

// ---- 4. The row in registers: memory is read once --------------------------------------------------------

/// A row of at most kChunks * 128 elements. The loops have constant bounds, so `v` is in registers.
template <int kChunks>
__global__ void registers_kernel(float* y, const float* x, const float* w, const float* b, int rows, int E) {
  const int first = threadIdx.x % kTeam * 4, row = blockIdx.x * kRows + threadIdx.x / kTeam;
  if (row >= rows) return;
  x += static_cast<int64_t>(row) * E;
  y += static_cast<int64_t>(row) * E;
  vec4 v[kChunks];
  float sum = 0.0f, squares = 0.0f;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    v[c] = load<true>(x, first + c * 4 * kTeam, E);  // zero beyond the row's end
    sum += sum_of(v[c]);
  }
  const float mean = reduce_lanes<kTeam>(sum, Add()) / E;
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    if (first + c * 4 * kTeam >= E) continue;
    v[c] = centered(v[c], mean);
    squares += sum_of(v[c] * v[c]);
  }
  const float rstd = 1.0f / sqrtf(reduce_lanes<kTeam>(squares, Add()) / E + kEpsilon);
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int e = first + c * 4 * kTeam;
    if (e < E) store_whole(y + e, v[c] * rstd * load_whole(w + e) + load_whole(b + e));
  }
}

// ---- Launches --------------------------------------------------------------------------------------------

void thread_per_row(float* y, const float* x, const float* w, const float* b, int rows, int E) {
  hipLaunchKernelGGL(thread_kernel, dim3((rows + 63) / 64), dim3(64), 0, 0, y, x, w, b, rows, E);
}

template <auto kKernel>
void team_per_row(float* y, const float* x, const float* w, const float* b, int rows, int E) {
  hipLaunchKernelGGL(kKernel, dim3((rows + kRows - 1) / kRows), dim3(kThreads), 0, 0, y, x, w, b, rows, E);
}

void in_registers(float* y, const float* x, const float* w, const float* b, int rows, int E) {
  const auto run = E <= 256   ? team_per_row<registers_kernel<2>>
                   : E <= 512 ? team_per_row<registers_kernel<4>>
                              : team_per_row<registers_kernel<8>>;
  run(y, x, w, b, rows, E);
}

constexpr LayerNormRung kRungs[] = {{"a thread a row", thread_per_row},
                                    {"a team a row", team_per_row<team_kernel>},
                                    {"16-byte loads", team_per_row<vec4_kernel>},
                                    {"the row in registers", in_registers}};

}  // namespace

std::span<const LayerNormRung> layernorm_rungs() {
  return kRungs;
}

void wait() {
  HIP_CHECK(hipDeviceSynchronize());
  HIP_CHECK_LAUNCH("a rung");
}

}  // namespace hipgpt::hip::ladder
