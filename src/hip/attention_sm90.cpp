// Causal attention in bf16 on NVIDIA's Hopper, the method of attention.cpp: FlashAttention-3 (Shah et al.,
// 2024) with one more idea, blocks that stay.
//
// For each tile of 128 queries, a warpgroup computes S = Q K^T of its 64 queries and 128 keys, the exponentials
// P, and O += P V. The product P V of one tile of keys runs during the exponentials of the next.
//   Operations: 2 T^2 D per head, as in attention_bf16.cpp. For 128 queries and 128 keys, a compute unit
//   multiplies for 1,024 clocks at its peak, and computes exponentials for as long, at 16 a clock. The rest of
//   the softmax takes 350 instructions a warp, 700 clocks of the two warps that share a scheduler.
//   Bytes: reads Q, K and V and writes O once, 201 MB at B=32 T=1024 H=12, since the blocks that run together
//   read the same keys from L2.
//
// Measured on an H200 by tests/bench/operations_bench at these sizes: 156 us, 331 TFLOP/s, as fast as PyTorch
// 2.11 in the same run. With dropout 0.2, 532 us: a call of Philox takes 60 instructions and serves four
// probabilities.
#include "hip/attention_sm90.h"

#if defined(__CUDACC__)

namespace hipgpt::hip {

namespace {

using Shape = Sm90AttentionShape<1, 4, 1>;

struct Sm90Forward {
  CUtensorMap qkv, out;
  float* lse;  // may be null
  Sm90Schedule schedule;
  int seq_len, heads;
  float scale;
  DropoutMask mask;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// The softmax of a thread's two rows so far. Until finish(), `total` is the thread's own part.
struct Softmax {
  float top[2] = {-INFINITY, -INFINITY}, total[2] = {0.0f, 0.0f}, correction[2];

  /// Turns scores into exp(score - top), where top is the largest so far. Earlier sums need the factor
  /// `correction`. `scale2` turns scores into exponents of 2.
  __device__ __forceinline__ void add(float (&s)[64], float scale2) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float largest = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
      for (int e = 4 + 2 * r; e < 64; e += 4) largest = fmaxf(largest, fmaxf(s[e], s[e + 1]));
      const float new_top = fmaxf(top[r], reduce_lanes<4>(largest, Max()));
      correction[r] = exp2_of((top[r] - new_top) * scale2);
      const float offset = new_top * scale2;
      top[r] = new_top;
      float sum = total[r] * correction[r];
#pragma unroll
      for (int e = 2 * r; e < 64; e += 4) {
        s[e] = exp2_of(fmaf(s[e], scale2, -offset));
        s[e + 1] = exp2_of(fmaf(s[e + 1], scale2, -offset));
        sum += s[e] + s[e + 1];
      }
      total[r] = sum;
    }
  }

  __device__ void finish() {
    for (float& t : total) t = reduce_lanes<4>(t, Add());
  }
};

/// Sets the scores of later keys, in a tile on the diagonal, to -infinity.
__device__ __forceinline__ void mask_diagonal(float (&s)[64], int group) {
  const int last = group * 64 + sm90::sum_row(0) - sm90::sum_column(0);
#pragma unroll
  for (int e = 0; e < 64; ++e)
    if (e / 4 * 8 + e % 2 - e / 2 % 2 * 8 > last) s[e] = -INFINITY;
}

template <bool kDropout>
__device__ __forceinline__ void attend_tiles(const Sm90Forward& p, const Sm90AttentionMemory<Shape>& m,
                                             int group) {
  using namespace sm90;
  const bool first_thread = threadIdx.x % kWarpgroup == 0;
  const float scale2 = p.scale * kLog2E;
  const uint32_t half = group * 64 * 128;  // bytes before the warpgroup's rows
  DropoutMask mask = p.mask;
  const int32_t pass = kDropout ? *mask.pass : 0;
  mask.pass = &pass;
  Ring<2> own;
  Ring<Shape::kStages> ring;
  p.schedule.for_each([&](int head, int tile) {
    const uint32_t row = static_cast<uint32_t>(head) * p.seq_len + tile * kSm90Rows + group * 64;
    const uint32_t q = m.own(own.stage, 0) + half;
    float s[64], out[32] = {};
    Sm90Scores scores;
    Softmax softmax;
    Sm90Kept kept;
    int previous = 0;
    const auto softmax_of = [&](int key_tile) {
      if (key_tile == tile) mask_diagonal(s, group);
      softmax.add(s, scale2);
      if (kDropout) {
#pragma unroll
        for (int e = 0; e < 64; ++e) s[e] *= kept.factor(mask, e);
      }
    };
    wait(m.own_full(own.stage), own.parity);
    wait(m.full(ring.stage), ring.parity);
    begin_products();
    multiply_rows_rows(s, q, m.other(ring.stage, 0));
    end_of_products();
    if (kDropout) kept.draw_for_queries(mask, row, 0);
    wait_for_products<0>();
    settle(s);
    softmax_of(0);
    round_scores(scores, s);
    previous = ring.stage;
    ring.advance();
#pragma unroll 1
    for (int key_tile = 1; key_tile <= tile; ++key_tile) {
      wait(m.full(ring.stage), ring.parity);
      begin_products();
      multiply_rows_rows(s, q, m.other(ring.stage, 0));
      end_of_products();
      add_scores_rows(out, scores, m.other(previous, 1));
      end_of_products();
      if (kDropout) kept.draw_for_queries(mask, row, key_tile * kSm90Rows);
      wait_for_products<1>();
      settle(s);
      softmax_of(key_tile);
      wait_for_products<0>();
      settle(out);
      if (first_thread) arrive(m.empty(previous));
#pragma unroll
      for (int e = 0; e < 32; ++e) out[e] *= softmax.correction[e / 2 % 2];
      round_scores(scores, s);
      previous = ring.stage;
      ring.advance();
    }
    if (first_thread) arrive(m.own_empty(own.stage));
    own.advance();
    begin_products();
    add_scores_rows(out, scores, m.other(previous, 1));
    end_of_products();
    softmax.finish();
    wait_for_products<0>();
    settle(out);
    if (first_thread) arrive(m.empty(previous));
    wait_for_stores(group);
    const float inverse[2] = {1.0f / softmax.total[0], 1.0f / softmax.total[1]};
    store_rows(out, m.result(0) + half, group, p.out, kQueries, tile * kSm90Rows + group * 64, head, p.heads,
               [&](int e) { return inverse[e / 2 % 2]; });
    if (p.lse == nullptr || threadIdx.x % 4 != 0) return;
#pragma unroll
    for (int r = 0; r < 2; ++r)
      if (tile * kSm90Rows + group * 64 + sum_row(2 * r) < p.seq_len)
        p.lse[row + sum_row(2 * r)] = softmax.top[r] * p.scale + logf(softmax.total[r]);
  });
  if (first_thread) wait_for_reads<0>();
}

#endif

template <bool kDropout>
__global__ void __launch_bounds__(3 * sm90::kWarpgroup, 1)
    attention_sm90_kernel(const __grid_constant__ Sm90Forward p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using Memory = Sm90AttentionMemory<Shape>;
  run_block<Shape, 24>(
      p.schedule,
      [&](const Memory& m, int set, int head, int tile) {
        if (!starts_copies()) return;
        sm90::arrive_and_expect(m.own_full(set), kSm90TileBytes);
        copy_tile(m.own(set, 0), p.qkv, kQueries, tile, head, p.heads, m.own_full(set));
      },
      [&](const Memory& m, int stage, int head, int tile) {
        if (!starts_copies()) return;
        sm90::arrive_and_expect(m.full(stage), 2 * kSm90TileBytes);
        copy_tile(m.other(stage, 0), p.qkv, kKeys, tile, head, p.heads, m.full(stage));
        copy_tile(m.other(stage, 1), p.qkv, kValues, tile, head, p.heads, m.full(stage));
      },
      [&](const Memory& m, int group) { attend_tiles<kDropout>(p, m, group); });
#endif
}

}  // namespace

void attend_on_sm90(const Stream& stream, const AttentionWork<bf16>& work, const DropoutMask& mask) {
  const int width = work.heads * work.head_size, sequences = work.sequence_heads / work.heads;
  const Sm90Forward p = {
      sm90::tensor_map(work.queries, work.seq_len, 3 * width, work.query_stride, kSm90Rows, sequences),
      sm90::tensor_map(static_cast<const bf16*>(work.out), work.seq_len, width, width, 64, sequences),
      work.lse,
      Sm90Schedule(stream, work.sequence_heads, work.seq_len, true),
      work.seq_len,
      work.heads,
      work.scale,
      mask};
  const dim3 blocks(
      static_cast<unsigned>(std::min(p.schedule.heads * p.schedule.tiles, stream.compute_units)));
  launch_with_shared(mask.p > 0.0f ? attention_sm90_kernel<true> : attention_sm90_kernel<false>, blocks,
                     dim3(3 * sm90::kWarpgroup), Shape::kShared, stream.handle, p);
}

}  // namespace hipgpt::hip

#endif
