// Causal attention in two rungs: with a matrix of T x T for each head, and without one. Q, K and V of a token
// are side by side in qkv [B,T,3E]; D = E/H.
//
// | rung | bytes for each score | K and V are read |
// |---|---|---|
// | 1 the matrix in memory | 16: written and read as a score, then as a probability | once for each query |
// | 2 online softmax       | 0                                                      | once for each query |
//
// The third rung is the library's kernel, src/hip/attention.cpp: 64 queries share what a block reads of K and
// V.
#include "hip/ladder/ladder.h"
#include "hip/reduce.h"

namespace hipgpt::hip::ladder {

namespace {

constexpr int kThreads = 256, kTeams = kThreads / kTeam;

/// Row `token` of Q (part 0), K (1) or V (2) of one head. `bh` is the head, counted over the batch.
struct Heads {
  const float* qkv;
  int T, H, D;

  __device__ const float* row(int part, int bh, int token) const {
    return qkv + (static_cast<int64_t>(bh / H * T + token) * 3 + part) * H * D + bh % H * D;
  }
  __device__ int64_t out_row(int bh, int token) const {
    return static_cast<int64_t>(bh / H * T + token) * H * D + bh % H * D;
  }
};

// ---- 1. The matrix in memory: three kernels --------------------------------------------------------------

/// s[bh,i,j] = q_i . k_j / sqrt(D) for j <= i: a thread a score.
__global__ void scores_kernel(float* s, Heads heads) {
  const int j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y, bh = blockIdx.z;
  if (j > i) return;
  const float *q = heads.row(0, bh, i), *k = heads.row(1, bh, j);
  float sum = 0.0f;
  for (int d = 0; d < heads.D; ++d) sum += q[d] * k[d];
  s[(static_cast<int64_t>(bh) * heads.T + i) * heads.T + j] = sum / sqrtf(static_cast<float>(heads.D));
}

/// The softmax of each row of s, in place: a team a row.
__global__ void softmax_kernel(float* s, int T, int rows) {
  const int lane = threadIdx.x % kTeam, row = blockIdx.x * kTeams + threadIdx.x / kTeam, i = row % T;
  if (row >= rows) return;
  s += static_cast<int64_t>(row) * T;
  float top = -INFINITY, total = 0.0f;
  for (int j = lane; j <= i; j += kTeam) top = fmaxf(top, s[j]);
  top = reduce_lanes<kTeam>(top, Max());
  for (int j = lane; j <= i; j += kTeam) total += expf(s[j] - top);
  total = reduce_lanes<kTeam>(total, Add());
  for (int j = lane; j <= i; j += kTeam) s[j] = expf(s[j] - top) / total;
}

/// out_i = sum_j p[i,j] v_j: a thread an element of out, a block a query.
__global__ void output_kernel(float* out, const float* p, Heads heads) {
  const int d = threadIdx.x, i = blockIdx.x, bh = blockIdx.y;
  p += (static_cast<int64_t>(bh) * heads.T + i) * heads.T;
  float sum = 0.0f;
  for (int j = 0; j <= i; ++j) sum += p[j] * heads.row(2, bh, j)[d];
  out[heads.out_row(bh, i) + d] = sum;
}

void in_memory(float* out, float* scratch, const float* qkv, int B, int T, int H, int D) {
  const Heads heads{qkv, T, H, D};
  const int rows = B * H * T;
  hipLaunchKernelGGL(scores_kernel, dim3((T + kThreads - 1) / kThreads, T, B * H), dim3(kThreads), 0, 0,
                     scratch, heads);
  hipLaunchKernelGGL(softmax_kernel, dim3((rows + kTeams - 1) / kTeams), dim3(kThreads), 0, 0, scratch, T,
                     rows);
  hipLaunchKernelGGL(output_kernel, dim3(T, B * H), dim3(D), 0, 0, out, scratch, heads);
}

// ---- 2. Online softmax: a team a query, which keeps m, l and O in registers ------------------------------

/// Lane l holds the elements l, l + 32 ... of q and of the output: kCount = D / 32 of each.
template <int kCount>
__global__ void online_kernel(float* out, Heads heads, int rows) {
  const int lane = threadIdx.x % kTeam, row = blockIdx.x * kTeams + threadIdx.x / kTeam;
  if (row >= rows) return;
  const int bh = row / heads.T, i = row % heads.T;
  const float scale = 1.0f / sqrtf(static_cast<float>(heads.D));
  float q[kCount], o[kCount] = {}, m = -INFINITY, l = 0.0f;
#pragma unroll
  for (int c = 0; c < kCount; ++c) q[c] = heads.row(0, bh, i)[lane + c * kTeam];
  for (int j = 0; j <= i; ++j) {
    const float *k = heads.row(1, bh, j), *v = heads.row(2, bh, j);
    float score = 0.0f;
#pragma unroll
    for (int c = 0; c < kCount; ++c) score += q[c] * k[lane + c * kTeam];
    score = reduce_lanes<kTeam>(score, Add()) * scale;
    const float top = fmaxf(m, score), correction = expf(m - top), p = expf(score - top);
    m = top;
    l = l * correction + p;
#pragma unroll
    for (int c = 0; c < kCount; ++c) o[c] = o[c] * correction + p * v[lane + c * kTeam];
  }
#pragma unroll
  for (int c = 0; c < kCount; ++c) out[heads.out_row(bh, i) + lane + c * kTeam] = o[c] / l;
}

void online(float* out, float*, const float* qkv, int B, int T, int H, int D) {
  const int rows = B * H * T;
  const auto kernel = D == 32 ? online_kernel<1> : D == 64 ? online_kernel<2> : online_kernel<4>;
  hipLaunchKernelGGL(kernel, dim3((rows + kTeams - 1) / kTeams), dim3(kThreads), 0, 0, out,
                     Heads{qkv, T, H, D}, rows);
}

constexpr AttentionRung kRungs[] = {{"the matrix in memory", in_memory}, {"online softmax", online}};

}  // namespace

std::span<const AttentionRung> attention_rungs() {
  return kRungs;
}

}  // namespace hipgpt::hip::ladder
