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

namespace hipgpt::hip {

namespace {

/// A block owns kOwn rows and walks over tiles of kTileRows rows, of which a wave takes kAtOnce at a time. The
/// own rows are in shared memory. On AMD they are in registers, or read from memory each time if they take too
/// many; then one of the tiles for them takes the place of the stage when that has been read.
template <int kHead, int kOwn_, int kAtOnce_, Use kUse0, Use kUse1, typename AtomName>
struct BackwardShape {
  using Product = WaveProduct<typename AtomOf<AtomName>::Type, kOwn_, kHead>;
  using Atom = typename Product::Atom;
  static constexpr int kThreads = kAttentionThreads, kOwn = kOwn_;
  static constexpr int kAtOnce = kAtOnce_ > Atom::kK ? kAtOnce_ : Atom::kK, kColumns = kAtOnce / Atom::kN;
  using OwnTile = HeadTile<kOwn, kHead>;
  using Other0 = WalkedTile<kHead, kUse0>;
  using Other1 = WalkedTile<kHead, kUse1>;
  using Loader = StageLoaderOf<Atom, kHead, kUse0, kUse1>;
  using Scores = typename Product::template Sums<kColumns>;
  using Gradient = typename Product::template Sums<Product::kHeadAtoms>;
  static constexpr int kOwnUnits = kForAmd ? 0 : OwnTile::kUnits;
  static constexpr int kTileUnits = Other0::kUnits + Other1::kUnits;
  static constexpr int kStageUnits = kTileUnits + (kForAmd ? 0 : 2 * kTileRows / 4);  // with two floats a row
  static constexpr int kAllTiles = 2 * kOwnUnits + kTileStages * kStageUnits;
  static constexpr int kUnits = kAllTiles > OwnTile::kUnits ? kAllTiles : OwnTile::kUnits;
  static constexpr int kBytes = kUnits * kVecBytes;
  static_assert(!kForAmd || kBytes <= 64 * 1024);

  OwnTile own[2];
  vec4* memory;

  __device__ explicit BackwardShape(vec4* m) : own{{m}, {m + kOwnUnits}}, memory(m + 2 * kOwnUnits) {}
  /// The two tiles of a stage.
  __device__ Other0 other0(int stage) const { return {memory + stage * kStageUnits}; }
  __device__ Other1 other1(int stage) const { return {memory + stage * kStageUnits + Other0::kUnits}; }
  /// lse and delta of the rows of a stage, which AMD has in registers (RowValues).
  __device__ float* lse(int stage) const {
    return reinterpret_cast<float*>(memory + stage * kStageUnits + kTileUnits);
  }
  __device__ float* delta(int stage) const { return lse(stage) + kTileRows; }
  __device__ float* own_delta() const { return reinterpret_cast<float*>(memory + kUnits - 2 * kOwnUnits); }

  /// Starts to load one of the own operands, and returns it as a left operand.
  __device__ __forceinline__ auto load_own(const Product& wave, int which, const Rows<const bf16>& source,
                                           int first) const {
    if constexpr (kForAmd) {
      const typename Product::MemoryRows rows{source, first};
      // RDNA's waves have at most 256 registers.
      if constexpr (kHead <= 64 || Atom::kLanes == 64) {
        typename Product::LeftRows left;
        wave.load_rows(left, rows);
        return left;
      } else {
        return rows;
      }
    } else {
      own[which].template load<kThreads>(source, first);
      return own[which];
    }
  }
};

/// The block's queries are left operands of S and dP, and K is also multiplied by dS.
template <int kHead, int kOwn, int kAtOnce, typename AtomName>
using QueriesShape = BackwardShape<kHead, kOwn, kAtOnce, Use::kBoth, Use::kAlongColumns, AtomName>;

/// The block's keys are left operands of S^T and dP^T, and Q and dO are also multiplied by dS^T and P^T.
template <int kHead, int kOwn, int kAtOnce, typename AtomName>
using KeysShape = BackwardShape<kHead, kOwn, kAtOnce, Use::kBoth, Use::kBoth, AtomName>;

/// A value for each row of a tile, in the lanes of each wave.
template <typename Atom>
struct RowValues {
  float values[kTileRows / Atom::kLanes];

  template <typename F>
  __device__ void set(int first, const F& f) {
#pragma unroll
    for (int i = 0; i < kTileRows / Atom::kLanes; ++i) values[i] = f(first + i * Atom::kLanes);
  }
  /// The value of row `first` + row, both in the same 32 rows. All lanes must call it.
  __device__ float at(int first, int row) const {
    const int team = static_cast<int>(threadIdx.x) % kWaveSize / Atom::kLanes * Atom::kLanes;
    if constexpr (Atom::kLanes == kTileRows) return __shfl(values[0], first + row);
    return __shfl(first < 32 ? values[0] : values[kTileRows / Atom::kLanes - 1], team + first % 32 + row);
  }
};

/// The dropout factor of a score.
__device__ inline float factor_of(const DropoutMask& mask, uint32_t row, int key) {
  const vec4 f = mask.factors(row, key / 4);
  return element_of(f[0], f[1], f[2], f[3], key % 4);
}

/// delta of the block's queries, to shared memory and to `deltas` of the head.
template <int kHead, int kOwn, int kThreads>
__device__ void compute_delta(const BackwardHead<bf16>& head, int first, float* own, float* deltas) {
  constexpr int kLanes = 8;
  for (int r = threadIdx.x / kLanes; r < kOwn; r += kThreads / kLanes) {
    float dot = 0.0f;
#pragma unroll
    for (int block = 0; block < kHead; block += kLanes * 8) {
      const int column = block + static_cast<int>(threadIdx.x) % kLanes * 8;  // zeros beyond the head
      dot = add_dot(dot, to_floats(head.dout.load(first + r, column)),
                    to_floats(head.out.load(first + r, column)));
    }
    dot = reduce_lanes<kLanes>(dot, Add());
    if (threadIdx.x % kLanes != 0) continue;
    own[r] = dot;
    if (first + r < head.q.rows) deltas[first + r] = dot;
  }
}

template <int kHead, int kOwnRows, int kAtOnce, bool kDropout, typename AtomName>
__global__ void __launch_bounds__(kAttentionThreads, kForAmd&& kHead > 64 ? 1 : 2)
    queries_kernel(BackwardWork<bf16> work, DropoutMask mask, float* deltas) {
  using Shape = QueriesShape<kHead, kOwnRows, kAtOnce, AtomName>;
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
  typename Shape::Loader loader;
  const auto load = [&](int key, int stage) {
    loader.template start<0>(tiles.other0(stage), head.k, key);
    loader.template start<1>(tiles.other1(stage), head.v, key);
    loader.load();
  };
  const auto own_q = tiles.load_own(wave, 0, head.q, first);
  const auto own_dout = tiles.load_own(wave, 1, head.dout, first);
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
  for (int key = 0, stage = 0; key < key_end; key += kTileRows, stage ^= kOtherStage) {
    if (key > 0) loader.release();
    loader.finish(tiles.other0(stage), tiles.other1(stage));
    __syncthreads();
    if (key + kTileRows < key_end) load(key + kTileRows, stage ^ kOtherStage);
    const auto k = tiles.other0(stage);
    const auto v = tiles.other1(stage);
#pragma unroll 1
    for (int part = 0; part < kTileRows; part += Shape::kAtOnce) {
      if (key + part > first + wave.last_together) break;  // none of the wave's queries sees these keys
      typename Shape::Scores s = {}, dp = {};
      wave.add_rows_rows(s, own_q, k, part);
      wave.add_rows_rows(dp, own_dout, v, part);
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

template <int kHead, int kOwnRows, int kAtOnce, bool kDropout, typename AtomName>
__global__ void __launch_bounds__(kAttentionThreads, kForAmd&& kHead > 64 ? 1 : 2)
    keys_kernel(BackwardWork<bf16> work, DropoutMask mask, const float* deltas) {
  using Shape = KeysShape<kHead, kOwnRows, kAtOnce, AtomName>;
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
  typename Shape::Loader loader;
  RowValues<Atom> next_lse, next_delta, lse2,
      delta;  // on AMD: of the stage that is being loaded, and of this
  const auto load_values = [&](int query, RowValues<Atom>& to_lse, RowValues<Atom>& to_delta) {
    to_lse.set(query + wave.lane,
               [&](int row) { return row < work.seq_len ? head.lse[row] * kLog2E : 0.0f; });
    to_delta.set(query + wave.lane, [&](int row) {
      return row < work.seq_len ? deltas[static_cast<int64_t>(bh) * work.seq_len + row] : 0.0f;
    });
  };
  constexpr bool kValuesAhead = kForAmd && kHead <= 64;
  const auto load = [&](int query, int stage) {
    loader.template start<0>(tiles.other0(stage), head.q, query);
    loader.template start<1>(tiles.other1(stage), head.dout, query);
    loader.load();
    if constexpr (kValuesAhead) {
      load_values(query, next_lse, next_delta);
    } else if constexpr (!kForAmd) {
      for (int i = threadIdx.x; i < kTileRows; i += kThreads) {
        const bool exists = query + i < work.seq_len;
        tiles.lse(stage)[i] = exists ? head.lse[query + i] * kLog2E : 0.0f;
        tiles.delta(stage)[i] = exists ? deltas[static_cast<int64_t>(bh) * work.seq_len + query + i] : 0.0f;
      }
    }
  };
  const auto own_k = tiles.load_own(wave, 0, head.k, first);
  const auto own_v = tiles.load_own(wave, 1, head.v, first);
  load(first_query, 0);
  const float scale2 = work.scale * kLog2E;
  const int key = first + wave.row;
  typename Shape::Gradient dk = {}, dv = {};
  for (int query = first_query, stage = 0; query < work.seq_len; query += kTileRows, stage ^= kOtherStage) {
    if (query > first_query) loader.release();
    loader.finish(tiles.other0(stage), tiles.other1(stage));
    if constexpr (kValuesAhead) {
      lse2 = next_lse;
      delta = next_delta;
    } else if constexpr (kForAmd) {
      load_values(query, lse2, delta);
    }
    __syncthreads();
    if (query + kTileRows < work.seq_len) load(query + kTileRows, stage ^ kOtherStage);
    const auto q = tiles.other0(stage);
    const auto g = tiles.other1(stage);
#pragma unroll 1
    for (int part = 0; part < kTileRows; part += Shape::kAtOnce) {
      // These queries see none of the keys.
      if (query + part + Shape::kAtOnce - 1 < first + wave.first_together) continue;
      // AMD computes the dropout factors first, a bit each, while few registers are in use.
      uint32_t kept = 0;
      const auto score_bit = [](int i, int j, int e) { return (i * Shape::kColumns + j) * Atom::kSum + e; };
      if constexpr (kDropout && kForAmd) {
        static_assert(kAtoms * Shape::kColumns * Atom::kSum <= 32);
#pragma unroll
        for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
          for (int j = 0; j < Shape::kColumns; ++j) {
#pragma unroll
            for (int e = 0; e < Atom::kSum; ++e) {
              const int row = key + i * Atom::kM + Atom::sum_row(wave.lane, e);
              const int column = query + part + j * Atom::kN + Atom::sum_column(wave.lane, e);
              const bool keep = factor_of(mask, head.first_dropout_row + column, row) != 0.0f;
              kept = computed_here(kept | (keep ? 1u << score_bit(i, j, e) : 0u));
            }
          }
        }
      }
      typename Shape::Scores s = {}, dp = {};
      wave.add_rows_rows(s, own_k, q, part);
      wave.add_rows_rows(dp, own_v, g, part);
      float part_lse[Shape::kColumns][Atom::kSum], part_delta[Shape::kColumns][Atom::kSum];
      if constexpr (kForAmd) {
#pragma unroll
        for (int j = 0; j < Shape::kColumns; ++j) {
#pragma unroll
          for (int e = 0; e < Atom::kSum; ++e) {
            const int row = j * Atom::kN + Atom::sum_column(wave.lane, e);
            part_lse[j][e] = lse2.at(part, row);
            part_delta[j][e] = delta.at(part, row);
          }
        }
      }
      const auto gradients = [&](auto masked) {
#pragma unroll
        for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
          for (int j = 0; j < Shape::kColumns; ++j) {
#pragma unroll
            for (int e = 0; e < Atom::kSum; ++e) {
              const int row = key + i * Atom::kM + Atom::sum_row(wave.lane, e);
              const int at = part + j * Atom::kN + Atom::sum_column(wave.lane, e), column = query + at;
              const auto value_at = [&](const auto& of_part, const float* of_stage) {
                return kForAmd ? of_part[j][e] : of_stage[at];
              };
              float p = exp2_of(fmaf(s[i][j][e], scale2, -value_at(part_lse, tiles.lse(stage))));
              if (masked.value && (row > column || column >= work.seq_len)) p = 0.0f;
              float f = 1.0f;
              if (kDropout) {
                f = kForAmd ? (kept >> score_bit(i, j, e) & 1u) * mask.scale
                            : factor_of(mask, head.first_dropout_row + column, row);
              }
              dp[i][j][e] = p * (f * dp[i][j][e] - value_at(part_delta, tiles.delta(stage)));
              s[i][j][e] = f * p;
            }
          }
        }
      };
      if (query + part < key + Product::kRows - 1 || query + part + Shape::kAtOnce > work.seq_len) {
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
  if (kForAmd) {  // both tiles have the same place
    __syncthreads();
    tiles.own[0].template store<kThreads>(head.dk, first);
    __syncthreads();
  }
  wave.store(tiles.own[1], dv, [](int, int) { return 1.0f; });
  __syncthreads();
  if (!kForAmd) tiles.own[0].template store<kThreads>(head.dk, first);
  tiles.own[1].template store<kThreads>(head.dv, first);
}

/// kAtOnce: the queries that keys_kernel takes at once, as many as registers allow.
template <int kHead, int kAtOnce, bool kDropout>
void launch(const Stream& stream, const BackwardWork<bf16>& work, const DropoutMask& mask) {
  using Atom = AttentionAtomOfTarget;
  constexpr int kOwn = kBlockRows<kHead>;
  using Queries = QueriesShape<kHead, kOwn, 32, Atom>;
  using Keys = KeysShape<kHead, kOwn, kAtOnce, Atom>;
  const int64_t rows = static_cast<int64_t>(work.sequence_heads) * work.seq_len;
  if (rows > stream.scratch_floats)
    throw Error("attention_backward: too little scratch memory for this batch; make the batch smaller");
  const dim3 blocks((work.seq_len + kOwn - 1) / kOwn * work.sequence_heads), threads(kAttentionThreads);
  launch_with_shared(queries_kernel<kHead, kOwn, 32, kDropout, Atom>, blocks, threads,
                     Queries::kBytes + Queries::kOwn * sizeof(float), stream.handle, work, mask,
                     stream.scratch);
  launch_with_shared(keys_kernel<kHead, kOwn, kAtOnce, kDropout, Atom>, blocks, threads, Keys::kBytes,
                     stream.handle, work, mask, static_cast<const float*>(stream.scratch));
}

template <bool kDropout>
void launch(const Stream& stream, const BackwardWork<bf16>& work, const DropoutMask& mask) {
  if (work.head_size <= 32) return launch < 32, kForAmd ? 16 : 32, kDropout > (stream, work, mask);
  if (work.head_size <= 64) return launch<64, 16, kDropout>(stream, work, mask);
  if (work.head_size <= 96) return launch < 96, kForAmd ? 16 : 32, kDropout > (stream, work, mask);
  launch<128, 16, kDropout>(stream, work, mask);
}

}  // namespace

void attend_backward_on_matrix_cores(const Stream& stream, const BackwardWork<bf16>& work,
                                     const DropoutMask& mask) {
  mask.p > 0.0f ? launch<true>(stream, work, mask) : launch<false>(stream, work, mask);
}

}  // namespace hipgpt::hip
