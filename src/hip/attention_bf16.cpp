// Causal attention in bf16 on matrix cores, the method of attention.cpp: FlashAttention-2 (Dao, 2023).
//
// A block takes 128 queries of a head, or 64 if the head is wider than 64 (on AMD always 128), and walks over
// the keys 64 at a time. Scores, probabilities and outputs stay in registers. Q and two stages of K and V are
// in shared memory, 48 KB at D = 64: the next stage arrives while one is computed. On AMD, Q and the next K
// and V are in registers, and shared memory holds one stage.
//   Operations: 2 T^2 D per head, half of the 4 T^2 D of two full products, and an exponential per score. A
//   compute unit of Hopper does 16 exponentials a clock, so at D = 64 they take as long as the products at
//   their peak. Bytes: reads Q and writes O once; reads K and V T/128 times, mostly from L2.
//
// Measured on an H200 by ncu at B=32 T=1024 H=12 D=64: 0.27 ms, 193 TFLOP/s. For heads of 64 columns, Hopper
// uses attention_sm90.cpp instead.
#include <cmath>

#include "hip/attention_bf16.h"
#include "hip/attention_bf16_tile.h"
#include "hip/launch.h"

namespace hipgpt::hip {

namespace {

template <int kHead, int kQueries_, typename AtomName>
struct ForwardShape {
  using Product = WaveProduct<typename AtomOf<AtomName>::Type, kQueries_, kHead>;
  using Atom = typename Product::Atom;
  static constexpr int kThreads = kAttentionThreads, kQueries = kQueries_;
  using QueryTile = HeadTile<kQueries, kHead>;
  using KeyTile = WalkedTile<kHead, Use::kAlongColumns>;
  using ValueTile = WalkedTile<kHead, Use::kAlongRows>;
  using Loader = StageLoaderOf<Atom, kHead, Use::kAlongColumns, Use::kAlongRows>;
  static constexpr int kStageUnits = KeyTile::kUnits + ValueTile::kUnits;
  // If AMD's registers hold the queries, their tile only receives O, when the stage has been read.
  static constexpr bool kQueriesInRegisters = !kForAmd || kHead <= 64;
  static constexpr int kFirstStage = kForAmd && kQueriesInRegisters ? 0 : QueryTile::kUnits;
  static constexpr int kAllStages = kFirstStage + kTileStages * kStageUnits;
  static constexpr int kUnits = kAllStages > QueryTile::kUnits ? kAllStages : QueryTile::kUnits;
  static constexpr int kBytes = kUnits * kVecBytes;
};

/// The state of a wave: outputs that still lack the factor 1 / total, and the softmax of each row so far.
/// Until finish(), `total` is a lane's own part.
template <typename Shape>
struct ForwardRows {
  using Product = typename Shape::Product;
  using Atom = typename Product::Atom;
  static constexpr int kAtoms = Product::kAtoms, kKeyAtoms = kTileRows / Atom::kN;
  using Scores = typename Product::template Sums<kKeyAtoms>;
  typename Product::template Sums<Product::kHeadAtoms> out = {};
  float top[kAtoms][Atom::kLaneRows], total[kAtoms][Atom::kLaneRows];

  __device__ ForwardRows() {
#pragma unroll
    for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
      for (int r = 0; r < Atom::kLaneRows; ++r) {
        top[i][r] = -INFINITY;
        total[i][r] = 0.0f;
      }
    }
  }

  /// Sets the scores of keys after their query to -infinity. `query` and `key` are the positions of the
  /// wave's first query and of the tile's first key.
  static __device__ void mask_causally(Scores& s, int lane, int query, int key) {
#pragma unroll
    for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
      for (int j = 0; j < kKeyAtoms; ++j) {
#pragma unroll
        for (int e = 0; e < Atom::kSum; ++e)
          if (key + j * Atom::kN + Atom::sum_column(lane, e) > query + i * Atom::kM + Atom::sum_row(lane, e))
            s[i][j][e] = -INFINITY;
      }
    }
  }

  /// Turns scores into exp(score - top), where top is the largest so far, and rescales earlier sums. Every
  /// query sees key 0, so top is finite after the first tile. `scale2` turns scores into exponents of 2.
  __device__ void add(Scores& s, float scale2) {
#pragma unroll
    for (int i = 0; i < kAtoms; ++i) {
      float correction[Atom::kLaneRows], offset[Atom::kLaneRows];
#pragma unroll
      for (int r = 0; r < Atom::kLaneRows; ++r) {
        float largest = -INFINITY;
#pragma unroll
        for (int j = 0; j < kKeyAtoms; ++j) {
#pragma unroll
          for (int e = 0; e < Atom::kSum; ++e)
            if (Atom::lane_row(e) == r) largest = fmaxf(largest, s[i][j][e]);
        }
        const float new_top =
            fmaxf(top[i][r], reduce_lanes<Atom::kRowLanes, Atom::kRowStride>(largest, Max()));
        correction[r] = exp2_of((top[i][r] - new_top) * scale2);
        offset[r] = new_top * scale2;
        top[i][r] = new_top;
        total[i][r] *= correction[r];
      }
#pragma unroll
      for (int j = 0; j < kKeyAtoms; ++j) {
#pragma unroll
        for (int e = 0; e < Atom::kSum; ++e) {
          const float p = exp2_of(fmaf(s[i][j][e], scale2, -offset[Atom::lane_row(e)]));
          s[i][j][e] = p;
          total[i][Atom::lane_row(e)] += p;
        }
      }
#pragma unroll
      for (int j = 0; j < Product::kHeadAtoms; ++j) {
#pragma unroll
        for (int e = 0; e < Atom::kSum; ++e) out[i][j][e] *= correction[Atom::lane_row(e)];
      }
    }
  }

  /// Multiplies probabilities by their dropout factors. `row` is the mask's row of the wave's first query.
  static __device__ void drop(Scores& s, int lane, const DropoutMask& mask, uint32_t row, int key) {
#pragma unroll
    for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
      for (int j = 0; j < kKeyAtoms; ++j) {
#pragma unroll
        for (int e = 0; e < Atom::kSum; e += Atom::kOfFour) {
          const int column = key + j * Atom::kN + Atom::sum_column(lane, e);
          const vec4 f = mask.factors(row + i * Atom::kM + Atom::sum_row(lane, e), column / 4);
          if constexpr (Atom::kNeighbours == 2) {
            s[i][j][e] *= column % 4 == 0 ? f[0] : f[2];
            s[i][j][e + 1] *= column % 4 == 0 ? f[1] : f[3];
          } else {
#pragma unroll
            for (int v = 0; v < Atom::kOfFour; ++v)
              s[i][j][e + v] *= element_of(f[0], f[1], f[2], f[3], Atom::sum_column(lane, e + v) % 4);
          }
        }
      }
    }
  }

  __device__ void finish() {
#pragma unroll
    for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
      for (int r = 0; r < Atom::kLaneRows; ++r)
        total[i][r] = reduce_lanes<Atom::kRowLanes, Atom::kRowStride>(total[i][r], Add());
    }
  }
};

template <int kHead, int kBlockQueries, bool kDropout, typename AtomName>
__global__ void __launch_bounds__(kAttentionThreads, kForAmd&& kHead > 64 ? 1 : 2)
    attention_bf16_kernel(AttentionWork<bf16> work, DropoutMask mask) {
  using Shape = ForwardShape<kHead, kBlockQueries, AtomName>;
  using Product = typename Shape::Product;
  using Atom = typename Product::Atom;
  using KeyTile = typename Shape::KeyTile;
  HIPGPT_DYNAMIC_SHARED(vec4, memory);
  const typename Shape::QueryTile q{memory};
  const auto keys = [=](int stage) {
    return KeyTile{memory + Shape::kFirstStage + stage * Shape::kStageUnits};
  };
  const auto values = [=](int stage) {
    return typename Shape::ValueTile{keys(stage).memory + KeyTile::kUnits};
  };
  const int32_t pass = kDropout ? *mask.pass : 0;
  mask.pass = &pass;  // read once, not for every factor

  // The last queries see the most keys, so they start first.
  constexpr int kQueries = Shape::kQueries;
  const int tiles = (work.seq_len + kQueries - 1) / kQueries, bh = blockIdx.x % work.sequence_heads;
  const int first = (tiles - 1 - static_cast<int>(blockIdx.x) / work.sequence_heads) * kQueries;
  const AttentionHead<bf16> head(work, bh);
  const int key_end = head.past + min(first + kQueries, work.seq_len);

  const Product wave;
  const int query = head.past + first + wave.row;  // position of the wave's first query
  const float scale2 = work.scale * kLog2E;
  ForwardRows<Shape> rows;
  std::conditional_t<Shape::kQueriesInRegisters, typename Product::LeftRows, typename Shape::QueryTile>
      queries;
  typename Shape::Loader loader;
  const auto load = [&](int key, int stage) {
    loader.template start<0>(keys(stage), head.k, key);
    loader.template start<1>(values(stage), head.v, key);
    loader.load();
  };
  if constexpr (kForAmd && Shape::kQueriesInRegisters) {
    wave.load_rows(queries, typename Product::MemoryRows{head.q, first});
  } else {
    q.template load<Shape::kThreads>(head.q, first);
    if constexpr (kForAmd) queries = q;
  }
  load(0, 0);
  for (int key = 0, stage = 0; key < key_end; key += kTileRows, stage ^= kOtherStage) {
    if (key > 0) loader.release();
    loader.finish(keys(stage), values(stage));
    __syncthreads();  // the tile is there, and the other stage has been read
    if (key + kTileRows < key_end) load(key + kTileRows, stage ^ kOtherStage);
    if constexpr (!kForAmd) {
      if (key == 0) wave.load_rows(queries, q);
    }
    if (key > head.past + first + wave.last_together) continue;  // none of the wave's queries sees the tile
    typename ForwardRows<Shape>::Scores s = {};
    wave.add_rows_rows(s, queries, keys(stage), 0);
    if (key + kTileRows - 1 > query) rows.mask_causally(s, wave.lane, query, key);
    rows.add(s, scale2);
    if (kDropout)
      rows.drop(s, wave.lane, mask, static_cast<uint32_t>(bh) * work.seq_len + first + wave.row, key);
    wave.add_scores_rows(rows.out, s, values(stage), 0);
  }
  rows.finish();

  __syncthreads();  // the tiles have been read; that of Q receives O
  wave.store(q, rows.out, [&](int i, int r) { return 1.0f / rows.total[i][r]; });
#pragma unroll
  for (int i = 0; i < Product::kAtoms; ++i) {
#pragma unroll
    for (int e = 0; e < Atom::kSum; ++e) {
      const int row = first + wave.row + i * Atom::kM + Atom::sum_row(wave.lane, e), r = Atom::lane_row(e);
      if (work.lse != nullptr && Atom::sum_column(wave.lane, e) == 0 && row < work.seq_len)
        work.lse[static_cast<int64_t>(bh) * work.seq_len + row] =
            rows.top[i][r] * work.scale + logf(rows.total[i][r]);
    }
  }
  __syncthreads();
  q.template store<Shape::kThreads>(head.out, first);
}

template <int kHead, bool kDropout>
void launch(const Stream& stream, const AttentionWork<bf16>& work, const DropoutMask& mask) {
  using Atom = AttentionAtomOfTarget;
  constexpr int kQueries = kBlockRows<kHead>;
  using Shape = ForwardShape<kHead, kQueries, Atom>;
  const unsigned tiles = (work.seq_len + Shape::kQueries - 1) / Shape::kQueries;
  launch_with_shared(attention_bf16_kernel<kHead, kQueries, kDropout, Atom>,
                     dim3(tiles * work.sequence_heads), dim3(Shape::kThreads), Shape::kBytes, stream.handle,
                     work, mask);
}

template <bool kDropout>
void launch(const Stream& stream, const AttentionWork<bf16>& work, const DropoutMask& mask) {
  if (work.head_size <= 32) return launch<32, kDropout>(stream, work, mask);
  if (work.head_size <= 64) return launch<64, kDropout>(stream, work, mask);
  if (work.head_size <= 96) return launch<96, kDropout>(stream, work, mask);
  launch<128, kDropout>(stream, work, mask);
}

}  // namespace

void attend_on_matrix_cores(const Stream& stream, const AttentionWork<bf16>& work, const DropoutMask& mask) {
  mask.p > 0.0f ? launch<true>(stream, work, mask) : launch<false>(stream, work, mask);
}

}  // namespace hipgpt::hip
