// Causal attention for many queries, without a [T,T] matrix.
//
//   S = Q K^T / sqrt(D) for j <= i,   P = softmax(S),   O = dropout(P) V,   lse_i = log sum_j exp S_ij
//
// attention_kernel (FlashAttention: Dao et al., 2022; online softmax: Milakov & Gimelshein, 2018): a block
// takes 64 queries of a head and walks over the keys 32 at a time. It takes 32 queries if D > 64, and 16 if
// there is too little work to fill the GPU. Scores and outputs stay in registers, 4x4 and 4xD/8 per thread.
// Q, one tile of K or V and the tile of P are in shared memory (32 KB at D = 64, so that two blocks fit in 64
// KB). Let m be the largest score so far, and l and O sums of exp(S - m). A tile that raises m by d first
// multiplies l and O by exp(-d). Tiles above the diagonal are not computed.
//   Operations: 2 T^2 D per head, half of the 4 T^2 D of two full products. Each score also takes an
//   exponential and, with dropout, a quarter of a Philox block. Bytes: the kernel reads Q and writes O once.
//   It reads K and V T/64 times, mostly from L2, with 16 multiply-adds for each byte. So it is bound by
//   arithmetic, and next by shared memory, with one vec4 read for 8 to 11 multiply-adds per thread.
//
// Measured on an H200: at B=64 T=256 H=6 D=64, it takes 0.139 ms with dropout and 0.130 ms without, 23 and 25
// TFLOP/s; at T=1024 it reaches 28 to 32. The fp32 peak is 67 TFLOP/s, and cuBLAS's products reach 51.
#include <cmath>

#include "device/check.h"
#include "hip/attention_bf16.h"
#include "hip/attention_sm90.h"
#include "hip/check.h"
#include "hip/dropout_mask.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

constexpr int kKeys = 32;  ///< keys of a tile: four for each of the lanes that share a row

/// The softmax of rows whose scores arrive one tile at a time. Until finish(), `total` is a thread's own
/// part.
template <int kRows>
struct OnlineSoftmax {
  float top[kRows], total[kRows];

  __device__ OnlineSoftmax() {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      top[r] = -INFINITY;
      total[r] = 0.0f;
    }
  }

  /// Turns s into exp(s - top) and returns the factor by which earlier sums must be multiplied. Every query
  /// sees key 0, so top is finite after the first tile.
  __device__ float add(int r, vec4& s) {
    const float tile_top = reduce_lanes<kRowLanes>(fmaxf(fmaxf(s[0], s[1]), fmaxf(s[2], s[3])), Max());
    const float new_top = fmaxf(top[r], tile_top);
    const float correction = expf(top[r] - new_top);
    s = map(s, [new_top](float x) { return expf(x - new_top); });
    total[r] = fmaf(total[r], correction, sum_of(s));
    top[r] = new_top;
    return correction;
  }

  __device__ void finish() {
#pragma unroll
    for (int r = 0; r < kRows; ++r) total[r] = reduce_lanes<kRowLanes>(total[r], Add());
  }
};

/// Scales the scores of the four keys that start at `key`, and sets scores of keys after `query` to -inf.
__device__ inline vec4 causal_scores(vec4 s, float scale, int key, int query) {
#pragma unroll
  for (int e = 0; e < 4; ++e) s[e] = key + e <= query ? s[e] * scale : -INFINITY;
  return s;
}

/// A thread's part of a block's queries: kRows rows of scores and of outputs. kHead is at least D; columns
/// beyond D are zero. Columns are processed in chunks of kChunk.
template <int kHead, int kQueries, int kRows>
struct ForwardTile {
  static constexpr int kThreads = kQueries / kRows * kRowLanes;
  static constexpr int kChunk = kHead < 64 ? kHead : 64, kChunks = kHead / kChunk;
  static constexpr int kVecs = kChunk / 4 / kRowLanes;
  using QueryTile = AttentionTile<kQueries, kHead>;
  using KeyTile = AttentionTile<kKeys, kChunk>;
  using ScoreTile = AttentionTile<kQueries, kKeys>;

  int bh, first, row, tx;  ///< first: the block's first query; row: this thread's first row in the block
  vec4 s[kRows];
  vec4 out[kChunks][kRows][kVecs];
  OnlineSoftmax<kRows> softmax;

  __device__ ForwardTile(int bh_, int first_)
      : bh(bh_), first(first_), row(threadIdx.x / kRowLanes * kRows), tx(threadIdx.x % kRowLanes), out{} {}

  __device__ void clear_scores() {
#pragma unroll
    for (int r = 0; r < kRows; ++r) s[r] = {};
  }

  /// Turns scores into probabilities with dropout, up to the factor that write() applies, and stores them in
  /// p.
  template <typename T>
  __device__ void probabilities(const ScoreTile& p, const AttentionWork<T>& work, const DropoutMask& mask,
                                int past, int key) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int query = first + row + r;
      s[r] = causal_scores(s[r], work.scale, key, past + query);
      const float correction = softmax.add(r, s[r]);
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
#pragma unroll
        for (int i = 0; i < kVecs; ++i) out[c][r][i] = out[c][r][i] * correction;
      }
      if (mask.p > 0.0f)
        s[r] = s[r] * mask.factors(static_cast<uint32_t>(bh) * work.seq_len + query, key / 4);
      p.at(row + r, tx) = s[r];
    }
  }

  template <typename T>
  __device__ void write(const AttentionWork<T>& work, const Rows<T>& rows) {
    softmax.finish();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int query = first + row + r;
      const float factor = 1.0f / softmax.total[r];
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
#pragma unroll
        for (int i = 0; i < kVecs; ++i)
          rows.store_four(query, c * kChunk + 4 * (tx + kRowLanes * i), out[c][r][i] * factor);
      }
      if (work.lse != nullptr && tx == 0 && query < work.seq_len)
        work.lse[static_cast<int64_t>(bh) * work.seq_len + query] = softmax.top[r] + logf(softmax.total[r]);
    }
  }
};

/// K and V share one tile in shared memory, which holds one chunk of columns at a time: K's chunks, then V's.
/// While one chunk is multiplied, the next is loaded into registers.
template <int kHead, int kQueries, int kRows, typename T>
__global__ void HIPGPT_LAUNCH_BOUNDS(kQueries / kRows * kRowLanes, kHead <= 64 && kRows == 4 ? 4 : 1)
    attention_kernel(AttentionWork<T> work, DropoutMask mask) {
  using S = ForwardTile<kHead, kQueries, kRows>;
  using QueryTile = typename S::QueryTile;
  using KeyTile = typename S::KeyTile;
  HIPGPT_SHARED(vec4, memory, [QueryTile::kSize + KeyTile::kSize + S::ScoreTile::kSize]);
  const QueryTile q{memory};
  const KeyTile kv{memory + QueryTile::kSize};
  const typename S::ScoreTile p{memory + QueryTile::kSize + KeyTile::kSize};
  const int32_t pass = mask.p > 0.0f ? *mask.pass : 0;
  mask.pass = &pass;  // read once, not for every factor

  // The last queries see the most keys, so they start first.
  const int tiles = (work.seq_len + kQueries - 1) / kQueries, bh = blockIdx.x % work.sequence_heads;
  const int first = (tiles - 1 - static_cast<int>(blockIdx.x) / work.sequence_heads) * kQueries;
  const AttentionHead<T> head(work, bh);
  const int last_key = head.past + min(first + kQueries, work.seq_len) - 1;
  // 64 neighbouring threads, which are whole waves of either size, skip tiles that none of their queries
  // sees.
  const int last_seen =
      head.past + first + (static_cast<int>(threadIdx.x) / 64 + 1) * (64 / kRowLanes * kRows) - 1;

  S tile(bh, first);
  TileLoader<KeyTile, S::kThreads> next;
  next.load(head.k, 0, 0);
  copy_tile<S::kThreads>(q, head.q, first);
  for (int first_key = 0; first_key <= last_key; first_key += kKeys) {
    tile.clear_scores();
#pragma unroll
    for (int c = 0; c < S::kChunks; ++c) {
      __syncthreads();
      next.store(kv);
      __syncthreads();
      if (c + 1 < S::kChunks) {
        next.load(head.k, first_key, (c + 1) * S::kChunk);
      } else {
        next.load(head.v, first_key, 0);
      }
      if (first_key <= last_seen)
        multiply_abt<KeyTile::kRowVecs>(tile.s, q, tile.row, c * KeyTile::kRowVecs, kv, 4 * tile.tx);
    }
    if (first_key <= last_seen) tile.probabilities(p, work, mask, head.past, first_key + 4 * tile.tx);
#pragma unroll
    for (int c = 0; c < S::kChunks; ++c) {
      __syncthreads();
      next.store(kv);
      __syncthreads();
      if (c + 1 < S::kChunks) {
        next.load(head.v, first_key, (c + 1) * S::kChunk);
      } else {
        next.load(head.k, first_key + kKeys, 0);
      }
      if (first_key <= last_seen) multiply_ab(tile.out[c], p, tile.row, kv, tile.tx);
    }
  }
  tile.write(work, head.out);
}

template <int kHead, int kQueries, int kRows, typename T>
void launch_attention(const Stream& stream, const AttentionWork<T>& work, const DropoutMask& mask) {
  const unsigned blocks = ((work.seq_len + kQueries - 1) / kQueries) * work.sequence_heads;
  hipLaunchKernelGGL((attention_kernel<kHead, kQueries, kRows, T>), dim3(blocks),
                     dim3(kQueries / kRows * kRowLanes), 0, stream.handle, work, mask);
  HIP_CHECK_LAUNCH("attention");
}

}  // namespace

template <typename T>
void attend(const Stream& stream, const AttentionWork<T>& work, const DropoutMask& mask) {
  if constexpr (std::is_same_v<T, bf16>) {
    if constexpr (kMayHaveSm90) {
      if (work.on_matrix_cores && attention_fits_sm90(stream, work.head_size, work.aligned) &&
          work.past == nullptr)
        return attend_on_sm90(stream, work, mask);
    }
    if (work.on_matrix_cores) return attend_on_matrix_cores(stream, work, mask);
  }
  if constexpr (kAttentionByLanes<T>) {
    const bool little = static_cast<int64_t>(work.seq_len) * work.sequence_heads <
                        kTuning.attention.little_queries * stream.compute_units;
    if (work.head_size <= 32) {
      return little ? launch_attention<32, 16, 1>(stream, work, mask)
                    : launch_attention<32, 64, 4>(stream, work, mask);
    }
    if (work.head_size <= 64) {
      return little ? launch_attention<64, 16, 1>(stream, work, mask)
                    : launch_attention<64, 64, 4>(stream, work, mask);
    }
    if (work.head_size <= 128) return launch_attention<128, 32, 4>(stream, work, mask);
  }
  launch_attention<256, 32, 2>(stream, work, mask);
}

template void attend(const Stream&, const AttentionWork<float>&, const DropoutMask&);
template void attend(const Stream&, const AttentionWork<bf16>&, const DropoutMask&);

void attention(const Stream& stream, Tensor out, Tensor lse, Tensor qkv, int heads, const Dropout& dropout) {
  check::attention(out, lse, qkv, heads, dropout);
  const int width = static_cast<int>(out.dim(2)), seq_len = static_cast<int>(out.dim(1));
  with_type_of(out, [&](auto type) {
    using T = decltype(type);
    T* const q = elements<T>(qkv);
    AttentionWork<T> work(out, heads);
    work.lse = lse.f32();
    work.queries = q;
    work.keys = q + width;
    work.values = q + 2 * width;
    work.key_stride = 3 * width;
    work.key_rows = seq_len;
    choose_kernels(work, stream, [&](int pack) { return packs_aligned(pack, work.head_size, work.out, q); });
    attend(stream, work, DropoutMask(dropout));
  });
}

}  // namespace hipgpt::hip
