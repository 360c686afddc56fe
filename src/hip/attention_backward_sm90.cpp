// The gradient of causal attention in bf16 on NVIDIA's Hopper: the two kernels and the formulas of
// attention_backward_bf16.cpp.
//
//   queries_sm90_kernel  a warpgroup owns 64 queries and visits the keys they see, 128 at a time; it computes
//                        delta and dQ: three products
//   keys_sm90_kernel     a warpgroup owns 64 keys and visits the queries that see them; it computes S^T and
//                        dP^T, dK and dV: four products
//
// For 128 rows and 128 others, a compute unit multiplies for 1,536 and 2,048 clocks at its peak, and computes
// exponentials for 1,024. While one warpgroup does the latter, the other multiplies.
//
// Measured on an H200 at B=32 T=1024 H=12 D=64, in a training step by Nsight Compute: 422 us with the sums of dqkv, 409
// without them. By tests/bench/operations_bench before there were sums: 387 to 415 us, 310 to 333 TFLOP/s of the five
// products that are needed, 1.3 times as fast as PyTorch 2.11 in the same run. With dropout 0.2, 1,242 us.
#include "error.h"
#include "hip/attention_sm90.h"
#include "hip/column_sums.h"

#if defined(__CUDACC__)

namespace hipgpt::hip {

namespace {

struct Sm90Backward {
  CUtensorMap qkv, dout, out, dqkv;
  const float* lse;
  float *deltas, *sums;  // sums [2 tiles of all sequences, 3E], of the rows of each warpgroup; may be null
  Sm90Schedule schedule;
  int seq_len, heads;
  float scale;
  DropoutMask mask;
};

using QueriesShape = Sm90AttentionShape<3, 3, 1>;     // Q, dO and O
using KeysShape = Sm90AttentionShape<2, 3, 2, 1024>;  // K and V; lse and delta of the queries

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// Where the sums of a head's columns of dqkv go, over the rows of a warpgroup.
__device__ inline float* sums_of(const Sm90Backward& p, Part part, int head, int tile, int group) {
  const int64_t row = (static_cast<int64_t>(head / p.heads) * p.schedule.tiles + tile) * 2 + group;
  return p.sums + ((row * 3 + part) * p.heads + head % p.heads) * kSm90Head;
}

/// delta of a warpgroup's 64 rows, of which a thread receives two. Two lanes share a row. `deltas` has place for 64.
__device__ __forceinline__ void delta_of_rows(float (&delta)[2], uint32_t dout, uint32_t out, uint32_t deltas,
                                              int group) {
  const int line = static_cast<int>(threadIdx.x) % sm90::kWarpgroup / 2,
            lane = static_cast<int>(threadIdx.x) % 2;
  float dot = 0.0f;
#pragma unroll
  for (int u = 0; u < 4; ++u) {
    const int place = line * 128 + ((lane * 4 + u) ^ line % 8) * 16;
#pragma unroll
    for (int half = 0; half < 16; half += 8)
      dot = add_dot(dot, to_floats(sm90::load_shared<Vec<bf16, 4>>(dout + place + half)),
                    to_floats(sm90::load_shared<Vec<bf16, 4>>(out + place + half)));
  }
  dot = reduce_lanes<2>(dot, Add());
  if (lane == 0) sm90::store_shared(deltas + line * 4, dot);
  sm90::sync_warpgroup(1 + group);
#pragma unroll
  for (int r = 0; r < 2; ++r) delta[r] = sm90::load_shared<float>(deltas + sm90::sum_row(2 * r) * 4);
}

template <bool kDropout>
__device__ __forceinline__ void queries_gradients(const Sm90Backward& p,
                                                  const Sm90AttentionMemory<QueriesShape>& m, int group) {
  using namespace sm90;
  HIPGPT_SHARED(float, sums, [2][4 * kSm90Head]);
  const bool first_thread = threadIdx.x % kWarpgroup == 0;
  const float scale2 = p.scale * kLog2E;
  const uint32_t half = group * 64 * 128;  // bytes before the warpgroup's rows
  DropoutMask mask = p.mask;
  const int32_t pass = kDropout ? *mask.pass : 0;
  mask.pass = &pass;
  Ring<2> own;
  Ring<QueriesShape::kStages> ring;
  p.schedule.for_each([&](int head, int tile) {
    const int first = tile * kSm90Rows + group * 64;
    const uint32_t row = static_cast<uint32_t>(head) * p.seq_len + first;
    const uint32_t q = m.own(own.stage, 0) + half, dout = m.own(own.stage, 1) + half;
    float delta[2], lse2[2];
#pragma unroll
    for (int r = 0; r < 2; ++r)
      lse2[r] = first + sum_row(2 * r) < p.seq_len ? p.lse[row + sum_row(2 * r)] * kLog2E : 0.0f;
    wait_for_stores(group);
    wait(m.own_full(own.stage), own.parity);
    delta_of_rows(delta, dout, m.own(own.stage, 2) + half, m.result(0) + half, group);
    if (threadIdx.x % 4 == 0) {
#pragma unroll
      for (int r = 0; r < 2; ++r)
        if (first + sum_row(2 * r) < p.seq_len) p.deltas[row + sum_row(2 * r)] = delta[r];
    }
    float dq[32] = {};
#pragma unroll 1
    for (int key_tile = 0; key_tile <= tile; ++key_tile) {
      float s[64], dp[64];
      wait(m.full(ring.stage), ring.parity);
      const uint32_t k = m.other(ring.stage, 0), v = m.other(ring.stage, 1);
      begin_products();
      multiply_rows_rows(s, q, k);
      end_of_products();
      multiply_rows_rows(dp, dout, v);
      end_of_products();
      Sm90Kept kept;
      if (kDropout) kept.draw_for_queries(mask, row, key_tile * kSm90Rows);
      wait_for_products<1>();
      settle(s);
#pragma unroll
      for (int e = 0; e < 64; ++e) s[e] = exp2_of(fmaf(s[e], scale2, -lse2[e / 2 % 2]));
      if (key_tile == tile) {
        const int last = group * 64 + sum_row(0) - sum_column(0);
#pragma unroll
        for (int e = 0; e < 64; ++e)
          if (e / 4 * 8 + e % 2 - e / 2 % 2 * 8 > last) s[e] = 0.0f;
      }
      wait_for_products<0>();
      settle(dp);
#pragma unroll
      for (int e = 0; e < 64; ++e) {
        if (kDropout) dp[e] *= kept.factor(mask, e);
        s[e] *= dp[e] - delta[e / 2 % 2];
      }
      Sm90Scores scores;
      round_scores(scores, s);
      begin_products();
      add_scores_rows(dq, scores, k);
      end_of_products();
      wait_for_products<0>();
      settle(dq);
      if (first_thread) arrive(m.empty(ring.stage));
      ring.advance();
    }
    if (first_thread) arrive(m.own_empty(own.stage));
    own.advance();
    sync_warpgroup(1 + group);  // all threads have read their deltas from the place of the result
    store_rows(dq, m.result(0) + half, group, p.dqkv, kQueries, first, head, p.heads,
               [&](int) { return p.scale; });
    if (p.sums != nullptr) store_column_sums(sums_of(p, kQueries, head, tile, group), dq, sums[group], group);
  });
  if (first_thread) wait_for_reads<0>();
}

template <bool kDropout>
__device__ __forceinline__ void keys_gradients(const Sm90Backward& p, const Sm90AttentionMemory<KeysShape>& m,
                                               int group) {
  using namespace sm90;
  HIPGPT_SHARED(float, sums, [2][4 * kSm90Head]);
  const bool first_thread = threadIdx.x % kWarpgroup == 0;
  const float scale2 = p.scale * kLog2E;
  const uint32_t half = group * 64 * 128;
  DropoutMask mask = p.mask;
  const int32_t pass = kDropout ? *mask.pass : 0;
  mask.pass = &pass;
  Ring<2> own;
  Ring<KeysShape::kStages> ring;
  p.schedule.for_each([&](int head, int tile) {
    const int first = tile * kSm90Rows + group * 64;
    const uint32_t k = m.own(own.stage, 0) + half, v = m.own(own.stage, 1) + half;
    float dk[32] = {}, dv[32] = {};
    wait(m.own_full(own.stage), own.parity);
#pragma unroll 1
    for (int query_tile = tile; query_tile < p.schedule.tiles; ++query_tile) {
      float s[64], dp[64];
      wait(m.full(ring.stage), ring.parity);
      const uint32_t q = m.other(ring.stage, 0), dout = m.other(ring.stage, 1), extra = m.extra(ring.stage);
      begin_products();
      multiply_rows_rows(s, k, q);
      end_of_products();
      multiply_rows_rows(dp, v, dout);
      end_of_products();
      Sm90Kept kept;
      if (kDropout)
        kept.draw_for_keys(mask, static_cast<uint32_t>(head) * p.seq_len + query_tile * kSm90Rows, first);
      wait_for_products<1>();
      settle(s);
#pragma unroll
      for (int e = 0; e < 64; e += 4) {
        const auto lse2 = load_shared<Vec<float, 2>>(extra + sum_column(e) * 4);
#pragma unroll
        for (int i = 0; i < 4; ++i) s[e + i] = exp2_of(fmaf(s[e + i], scale2, -lse2[i % 2]));
      }
      if (query_tile == tile) {
        const int last = sum_column(0) - group * 64 - sum_row(0);
#pragma unroll
        for (int e = 0; e < 64; ++e)
          if (e / 2 % 2 * 8 - e / 4 * 8 - e % 2 > last) s[e] = 0.0f;
      }
      wait_for_products<0>();
      settle(dp);
#pragma unroll
      for (int e = 0; e < 64; e += 4) {
        const auto delta = load_shared<Vec<float, 2>>(extra + 512 + sum_column(e) * 4);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float factor = kDropout ? kept.factor(mask, e + i) : 1.0f;
          dp[e + i] = s[e + i] * (factor * dp[e + i] - delta[i % 2]);
          s[e + i] *= factor;
        }
      }
      Sm90Scores dropped, ds;
      round_scores(dropped, s);
      round_scores(ds, dp);
      begin_products();
      add_scores_rows(dv, dropped, dout);
      add_scores_rows(dk, ds, q);
      end_of_products();
      wait_for_products<0>();
      settle(dk);
      settle(dv);
      arrive(m.empty(ring.stage));
      ring.advance();
    }
    if (first_thread) arrive(m.own_empty(own.stage));
    own.advance();
    wait_for_stores(group);
    store_rows(dk, m.result(0) + half, group, p.dqkv, kKeys, first, head, p.heads,
               [&](int) { return p.scale; });
    if (p.sums != nullptr) store_column_sums(sums_of(p, kKeys, head, tile, group), dk, sums[group], group);
    store_rows(dv, m.result(1) + half, group, p.dqkv, kValues, first, head, p.heads,
               [](int) { return 1.0f; });
    if (p.sums != nullptr) store_column_sums(sums_of(p, kValues, head, tile, group), dv, sums[group], group);
  });
  if (first_thread) wait_for_reads<0>();
}

/// Copies lse and delta of 128 queries of a head to shared memory: log2(e) lse, and 512 bytes on delta.
__device__ __forceinline__ void copy_statistics(const Sm90Backward& p, uint32_t to, int head, int first) {
#pragma unroll
  for (int i = threadIdx.x % 32; i < kSm90Rows; i += 32) {
    const int64_t row = static_cast<int64_t>(head) * p.seq_len + first + i;
    const bool exists = first + i < p.seq_len;
    sm90::store_shared(to + i * 4, exists ? p.lse[row] * kLog2E : 0.0f);
    sm90::store_shared(to + 512 + i * 4, exists ? p.deltas[row] : 0.0f);
  }
}

#endif

template <bool kDropout>
__global__ void __launch_bounds__(3 * sm90::kWarpgroup, 1)
    queries_sm90_kernel(const __grid_constant__ Sm90Backward p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using Memory = Sm90AttentionMemory<QueriesShape>;
  run_block<QueriesShape, 24>(
      p.schedule,
      [&](const Memory& m, int set, int head, int tile) {
        if (!starts_copies()) return;
        sm90::arrive_and_expect(m.own_full(set), 3 * kSm90TileBytes);
        copy_tile(m.own(set, 0), p.qkv, kQueries, tile, head, p.heads, m.own_full(set));
        copy_tile(m.own(set, 1), p.dout, kQueries, tile, head, p.heads, m.own_full(set));
        copy_tile(m.own(set, 2), p.out, kQueries, tile, head, p.heads, m.own_full(set));
      },
      [&](const Memory& m, int stage, int head, int tile) {
        if (!starts_copies()) return;
        sm90::arrive_and_expect(m.full(stage), 2 * kSm90TileBytes);
        copy_tile(m.other(stage, 0), p.qkv, kKeys, tile, head, p.heads, m.full(stage));
        copy_tile(m.other(stage, 1), p.qkv, kValues, tile, head, p.heads, m.full(stage));
      },
      [&](const Memory& m, int group) { queries_gradients<kDropout>(p, m, group); });
#endif
}

template <bool kDropout>
__global__ void __launch_bounds__(3 * sm90::kWarpgroup, 1)
    keys_sm90_kernel(const __grid_constant__ Sm90Backward p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using Memory = Sm90AttentionMemory<KeysShape>;
  run_block<KeysShape, 24>(
      p.schedule,
      [&](const Memory& m, int set, int head, int tile) {
        if (!starts_copies()) return;
        sm90::arrive_and_expect(m.own_full(set), 2 * kSm90TileBytes);
        copy_tile(m.own(set, 0), p.qkv, kKeys, tile, head, p.heads, m.own_full(set));
        copy_tile(m.own(set, 1), p.qkv, kValues, tile, head, p.heads, m.own_full(set));
      },
      [&](const Memory& m, int stage, int head, int tile) {
        copy_statistics(p, m.extra(stage), head, tile * kSm90Rows);
        if (!starts_copies()) return sm90::arrive(m.full(stage));
        sm90::arrive_and_expect(m.full(stage), 2 * kSm90TileBytes);
        copy_tile(m.other(stage, 0), p.qkv, kQueries, tile, head, p.heads, m.full(stage));
        copy_tile(m.other(stage, 1), p.dout, kQueries, tile, head, p.heads, m.full(stage));
      },
      [&](const Memory& m, int group) { keys_gradients<kDropout>(p, m, group); });
#endif
}

}  // namespace

bool attend_backward_on_sm90(const Stream& stream, const BackwardWork<bf16>& work, const DropoutMask& mask) {
  const int width = work.heads * work.head_size, sequences = work.sequence_heads / work.heads;
  const int64_t rows = static_cast<int64_t>(work.sequence_heads) * work.seq_len;
  if (rows > stream.scratch_floats)
    throw Error("attention_backward: too little scratch memory for this batch; make the batch smaller");
  const auto map_of = [&](const bf16* matrix, int columns, int box_rows) {
    return sm90::tensor_map(matrix, work.seq_len, columns, columns, box_rows, sequences);
  };
  Sm90Backward p = {map_of(work.qkv, 3 * width, kSm90Rows),
                    map_of(work.dout, width, kSm90Rows),
                    map_of(work.out, width, kSm90Rows),
                    map_of(work.dqkv, 3 * width, 64),
                    work.lse,
                    stream.scratch,
                    nullptr,
                    Sm90Schedule(stream, work.sequence_heads, work.seq_len, true),
                    work.seq_len,
                    work.heads,
                    work.scale,
                    mask};
  const int parts = sequences * p.schedule.tiles * 2;
  const bool sum =
      work.dqkv_sums != nullptr && rows + static_cast<int64_t>(parts) * 3 * width <= stream.scratch_floats;
  if (sum) p.sums = stream.scratch + rows;
  const dim3 blocks(
      static_cast<unsigned>(std::min(p.schedule.heads * p.schedule.tiles, stream.compute_units)));
  const dim3 threads(3 * sm90::kWarpgroup);
  launch_with_shared(mask.p > 0.0f ? queries_sm90_kernel<true> : queries_sm90_kernel<false>, blocks, threads,
                     QueriesShape::kShared, stream.handle, p);
  p.schedule.last_is_longest = false;
  launch_with_shared(mask.p > 0.0f ? keys_sm90_kernel<true> : keys_sm90_kernel<false>, blocks, threads,
                     KeysShape::kShared, stream.handle, p);
  if (sum) add_partial_sums(stream, {{work.dqkv_sums}, 3 * width}, p.sums, parts);
  return sum;
}

}  // namespace hipgpt::hip

#endif
