// The gradient of causal attention in bf16 on matrix cores, with the formulas of attention_backward.cpp. Let
// F be the dropout factors and delta_i = dO_i . O_i:
//
//   P = exp(S - lse),  dP = dO V^T,  dS = P (F dP - delta),
//   dQ = dS K / sqrt(D),  dK = dS^T Q / sqrt(D),  dV = (F P)^T dO
//
// Two kernels share no sums, so no atomics are needed. Both compute S and dP and keep them in registers:
//   queries_kernel  a block takes 128 queries, or 64 if D > 64, and walks over the keys they see; it computes
//                   delta and dQ
//   keys_kernel     a block takes as many keys and walks over the queries that see them; it computes S^T and
//                   dP^T, and from them dK and dV
//   Operations: 7 T^2 D per head, where one kernel with all five products would take 5 T^2 D and add dQ in
//   memory; also two exponentials per score. Bytes: each kernel reads and writes its own rows once and walks
//   over the other rows T/64 times, mostly in L2.
//
// Measured on an H200 by ncu at B=32 T=1024 H=12 D=64: 0.39 and 0.50 ms, 197 and 204 TFLOP/s of all seven
// products, or 143 of the five that are needed. For heads of 64 columns, Hopper uses
// attention_backward_sm90.cpp instead.
#include <cmath>
#include <type_traits>

#include "error.h"
#include "hip/attention_bf16.h"
#include "hip/attention_bf16_tile.h"
#include "hip/launch.h"

#if !defined(__HIP_PLATFORM_AMD__)

namespace hipgpt::hip {

namespace {

/// A block owns kOwn rows, kRows in each wave, and walks over tiles of kTileRows rows, of which a wave takes
/// kAtOnce at a time.
template <int kHead, int kRows, int kAtOnce_, typename AtomName>
struct BackwardShape {
  using Product = WaveProduct<typename AtomOf<AtomName>::Type, kRows, kHead>;
  using Atom = typename Product::Atom;
  static constexpr int kThreads = kAttentionWaves * Atom::kLanes, kOwn = kAttentionWaves * kRows;
  static constexpr int kAtOnce = kAtOnce_, kColumns = kAtOnce / Atom::kN;
  using OwnTile = HeadTile<kOwn, kHead>;
  using OtherTile = HeadTile<kTileRows, kHead>;
  using Scores = typename Product::template Sums<kColumns>;
  using Gradient = typename Product::template Sums<Product::kHeadAtoms>;
  static constexpr int kStageUnits = 2 * OtherTile::kUnits + 2 * kTileRows / 4;  // with two floats a row
  static constexpr int kUnits = 2 * OwnTile::kUnits + 2 * kStageUnits;
  static constexpr int kBytes = (kUnits + kOwn / 4) * kVecBytes;  // delta of queries_kernel comes last

  OwnTile own[2];
  vec4* memory;

  __device__ explicit BackwardShape(vec4* m)
      : own{{m}, {m + OwnTile::kUnits}}, memory(m + 2 * OwnTile::kUnits) {}
  /// One of the two tiles of a stage.
  __device__ OtherTile other(int stage, int which) const {
    return {memory + stage * kStageUnits + which * OtherTile::kUnits};
  }
  /// lse and delta of the rows of a stage.
  __device__ float* lse(int stage) const {
    return reinterpret_cast<float*>(memory + stage * kStageUnits + 2 * OtherTile::kUnits);
  }
  __device__ float* delta(int stage) const { return lse(stage) + kTileRows; }
  __device__ float* own_delta() const { return reinterpret_cast<float*>(memory + 2 * kStageUnits); }
};

/// The dropout factors of two scores: of keys that follow each other, or of queries.
__device__ inline float factor_of(const DropoutMask& mask, uint32_t row, int key) {
  const vec4 f = mask.factors(row, key / 4);
  return key % 4 < 2 ? (key % 4 == 0 ? f[0] : f[1]) : (key % 4 == 2 ? f[2] : f[3]);
}

/// delta of the block's queries, to shared memory and to `deltas` of the head.
template <int kHead, int kOwn, int kThreads>
__device__ void compute_delta(const BackwardHead<bf16>& head, int first, float* own, float* deltas) {
  constexpr int kLanes = 8;
  for (int r = threadIdx.x / kLanes; r < kOwn; r += kThreads / kLanes) {
    float dot = 0.0f;
#pragma unroll
    for (int column = threadIdx.x % kLanes * 8; column < kHead; column += kLanes * 8)
      dot = add_dot(dot, to_floats(head.dout.load(first + r, column)),
                    to_floats(head.out.load(first + r, column)));
    dot = reduce_lanes<kLanes>(dot, Add());
    if (threadIdx.x % kLanes != 0) continue;
    own[r] = dot;
    if (first + r < head.q.rows) deltas[first + r] = dot;
  }
}

template <int kHead, int kRows, int kAtOnce, bool kDropout, typename AtomName>
__global__ void HIPGPT_LAUNCH_BOUNDS(kAttentionWaves * 32, 2)
    queries_kernel(BackwardWork<bf16> work, DropoutMask mask, float* deltas) {
  using Shape = BackwardShape<kHead, kRows, kAtOnce, AtomName>;
  using Atom = typename Shape::Atom;
  using Product = typename Shape::Product;
  constexpr int kThreads = Shape::kThreads, kOwn = Shape::kOwn, kAtoms = Product::kAtoms;
  HIPGPT_DYNAMIC_SHARED(vec4, memory);
  const Shape tiles(memory);
  const int32_t pass = kDropout ? *mask.pass : 0;
  mask.pass = &pass;
  const int bh = blockIdx.x % work.sequence_heads;
  const BackwardHead<bf16> head(work, bh);
  // The last queries see the most keys, so they start first.
  const int count = (work.seq_len + kOwn - 1) / kOwn;
  const int first = (count - 1 - static_cast<int>(blockIdx.x) / work.sequence_heads) * kOwn;
  const int key_end = min(first + kOwn, work.seq_len);
  const Product wave;
  const auto load = [&](int key, int stage) {
    tiles.other(stage, 0).template load<kThreads>(head.k, key);
    tiles.other(stage, 1).template load<kThreads>(head.v, key);
    end_of_loads();
  };
  tiles.own[0].template load<kThreads>(head.q, first);
  tiles.own[1].template load<kThreads>(head.dout, first);
  load(0, 0);
  compute_delta<kHead, kOwn, kThreads>(head, first, tiles.own_delta(),
                                       deltas + static_cast<int64_t>(bh) * work.seq_len);
  __syncthreads();
  float lse2[kAtoms][Atom::kLaneRows], delta[kAtoms][Atom::kLaneRows];
#pragma unroll
  for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
    for (int e = 0; e < Atom::kSum; ++e) {
      const int row = wave.row + i * Atom::kM + Atom::sum_row(wave.lane, e), r = Atom::lane_row(e);
      delta[i][r] = tiles.own_delta()[row];
      lse2[i][r] = first + row < work.seq_len ? head.lse[first + row] * kLog2E : 0.0f;
    }
  }
  const float scale2 = work.scale * kLog2E;
  const int query = first + wave.row;
  typename Shape::Gradient dq = {};
  for (int key = 0, stage = 0; key < key_end; key += kTileRows, stage ^= 1) {
    wait_for_tiles();
    __syncthreads();
    if (key + kTileRows < key_end) load(key + kTileRows, stage ^ 1);
    const auto k = tiles.other(stage, 0), v = tiles.other(stage, 1);
#pragma unroll 1
    for (int part = 0; part < kTileRows; part += Shape::kAtOnce) {
      if (key + part > first + wave.last_together) break;  // none of the wave's queries sees these keys
      typename Shape::Scores s = {}, dp = {};
      wave.add_rows_rows(s, tiles.own[0], k, part);
      wave.add_rows_rows(dp, tiles.own[1], v, part);
      const auto gradients = [&](auto masked) {
#pragma unroll
        for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
          for (int j = 0; j < Shape::kColumns; ++j) {
#pragma unroll
            for (int e = 0; e < Atom::kSum; ++e) {
              const int row = query + i * Atom::kM + Atom::sum_row(wave.lane, e), r = Atom::lane_row(e);
              const int column = key + part + j * Atom::kN + Atom::sum_column(wave.lane, e);
              float p = exp2_of(fmaf(s[i][j][e], scale2, -lse2[i][r]));
              if (masked.value && column > row) p = 0.0f;
              float d = dp[i][j][e];
              if (kDropout) d *= factor_of(mask, head.first_dropout_row + row, column);
              s[i][j][e] = p * (d - delta[i][r]);
            }
          }
        }
      };
      if (key + part + Shape::kAtOnce - 1 > query) {
        gradients(std::true_type());
      } else {
        gradients(std::false_type());
      }
      wave.add_scores_rows(dq, s, k, part);
    }
  }
  __syncthreads();  // the own tiles have been read
  wave.store(tiles.own[0], dq, [&](int, int) { return work.scale; });
  __syncthreads();
  tiles.own[0].template store<kThreads>(head.dq, first);
}

template <int kHead, int kRows, int kAtOnce, bool kDropout, typename AtomName>
__global__ void HIPGPT_LAUNCH_BOUNDS(kAttentionWaves * 32, 2)
    keys_kernel(BackwardWork<bf16> work, DropoutMask mask, const float* deltas) {
  using Shape = BackwardShape<kHead, kRows, kAtOnce, AtomName>;
  using Atom = typename Shape::Atom;
  using Product = typename Shape::Product;
  constexpr int kThreads = Shape::kThreads, kAtoms = Product::kAtoms;
  HIPGPT_DYNAMIC_SHARED(vec4, memory);
  const Shape tiles(memory);
  const int32_t pass = kDropout ? *mask.pass : 0;
  mask.pass = &pass;
  const int bh = blockIdx.x % work.sequence_heads;
  const BackwardHead<bf16> head(work, bh);
  // The most queries see the first keys, so these start first.
  const int first = static_cast<int>(blockIdx.x) / work.sequence_heads * Shape::kOwn;
  const int first_query = first / kTileRows * kTileRows;
  const Product wave;
  const auto load = [&](int query, int stage) {
    tiles.other(stage, 0).template load<kThreads>(head.q, query);
    tiles.other(stage, 1).template load<kThreads>(head.dout, query);
    end_of_loads();
    for (int i = threadIdx.x; i < kTileRows; i += kThreads) {
      const bool exists = query + i < work.seq_len;
      tiles.lse(stage)[i] = exists ? head.lse[query + i] * kLog2E : 0.0f;
      tiles.delta(stage)[i] = exists ? deltas[static_cast<int64_t>(bh) * work.seq_len + query + i] : 0.0f;
    }
  };
  tiles.own[0].template load<kThreads>(head.k, first);
  tiles.own[1].template load<kThreads>(head.v, first);
  load(first_query, 0);
  const float scale2 = work.scale * kLog2E;
  const int key = first + wave.row;
  typename Shape::Gradient dk = {}, dv = {};
  for (int query = first_query, stage = 0; query < work.seq_len; query += kTileRows, stage ^= 1) {
    wait_for_tiles();
    __syncthreads();
    if (query + kTileRows < work.seq_len) load(query + kTileRows, stage ^ 1);
    const auto q = tiles.other(stage, 0), g = tiles.other(stage, 1);
#pragma unroll 1
    for (int part = 0; part < kTileRows; part += Shape::kAtOnce) {
      // These queries see none of the keys.
      if (query + part + Shape::kAtOnce - 1 < first + wave.first_together) continue;
      typename Shape::Scores s = {}, dp = {};
      wave.add_rows_rows(s, tiles.own[0], q, part);
      wave.add_rows_rows(dp, tiles.own[1], g, part);
      const auto gradients = [&](auto masked) {
#pragma unroll
        for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
          for (int j = 0; j < Shape::kColumns; ++j) {
#pragma unroll
            for (int e = 0; e < Atom::kSum; ++e) {
              const int row = key + i * Atom::kM + Atom::sum_row(wave.lane, e);
              const int at = part + j * Atom::kN + Atom::sum_column(wave.lane, e), column = query + at;
              float p = exp2_of(fmaf(s[i][j][e], scale2, -tiles.lse(stage)[at]));
              if (masked.value && (row > column || column >= work.seq_len)) p = 0.0f;
              float f = 1.0f;
              if (kDropout) f = factor_of(mask, head.first_dropout_row + column, row);
              dp[i][j][e] = p * (f * dp[i][j][e] - tiles.delta(stage)[at]);
              s[i][j][e] = f * p;
            }
          }
        }
      };
      if (query + part < key + kRows - 1 || query + part + Shape::kAtOnce > work.seq_len) {
        gradients(std::true_type());
      } else {
        gradients(std::false_type());
      }
      wave.add_scores_rows(dv, s, g, part);
      wave.add_scores_rows(dk, dp, q, part);
    }
  }
  __syncthreads();  // the own tiles have been read
  wave.store(tiles.own[0], dk, [&](int, int) { return work.scale; });
  wave.store(tiles.own[1], dv, [](int, int) { return 1.0f; });
  __syncthreads();
  tiles.own[0].template store<kThreads>(head.dk, first);
  tiles.own[1].template store<kThreads>(head.dv, first);
}

/// `kQueryRows` and `kKeyRows` are the rows of a wave in the two kernels, as many as registers allow.
template <int kHead, int kQueryRows, int kKeyRows, int kKeysAtOnce, bool kDropout>
void launch(const Stream& stream, const BackwardWork<bf16>& work, const DropoutMask& mask) {
  using Atom = AttentionAtomOfTarget;
  using Queries = BackwardShape<kHead, kQueryRows, 32, Atom>;
  using Keys = BackwardShape<kHead, kKeyRows, kKeysAtOnce, Atom>;
  const int64_t rows = static_cast<int64_t>(work.sequence_heads) * work.seq_len;
  if (rows > stream.scratch_floats)
    throw Error("attention_backward: too little scratch memory for this batch; make the batch smaller");
  const auto blocks = [&](int own) { return dim3((work.seq_len + own - 1) / own * work.sequence_heads); };
  launch_with_shared(queries_kernel<kHead, kQueryRows, 32, kDropout, Atom>, blocks(Queries::kOwn),
                     dim3(Queries::kThreads), Queries::kBytes, stream.handle, work, mask, stream.scratch);
  launch_with_shared(keys_kernel<kHead, kKeyRows, kKeysAtOnce, kDropout, Atom>, blocks(Keys::kOwn),
                     dim3(Keys::kThreads), Keys::kBytes, stream.handle, work, mask,
                     static_cast<const float*>(stream.scratch));
}

template <bool kDropout>
void launch(const Stream& stream, const BackwardWork<bf16>& work, const DropoutMask& mask) {
  if (work.head_size <= 32) return launch<32, 32, 32, 32, kDropout>(stream, work, mask);
  if (work.head_size <= 64) return launch<64, 32, 32, 16, kDropout>(stream, work, mask);
  if (work.head_size <= 96) return launch<96, 16, 16, 32, kDropout>(stream, work, mask);
  launch<128, 16, 16, 16, kDropout>(stream, work, mask);
}

}  // namespace

void attend_backward_on_matrix_cores(const Stream& stream, const BackwardWork<bf16>& work,
                                     const DropoutMask& mask) {
  mask.p > 0.0f ? launch<true>(stream, work, mask) : launch<false>(stream, work, mask);
}

}  // namespace hipgpt::hip

#endif
