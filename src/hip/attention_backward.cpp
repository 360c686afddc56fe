// The gradient of causal attention, from the log-sum-exp of each row instead of a stored [T,T] matrix.
//
//   P = exp(S - lse),  F = dropout's factors,  delta_i = dO_i . O_i
//   dV = (F P)^T dO,   dP = dO V^T,   dS = P (F dP - delta) / sqrt(D),   dQ = dS K,   dK = dS^T Q
//
// The method is algorithm 4 of Dao et al., 2022. A block of 128 threads takes 32 queries and 32 keys at a
// time. Their rows of Q, K, V and dO are in shared memory (42 KB at D = 64, with S and dS). The products form
// pairs of the same shape, one product for each half of the block: the first 64 threads compute S and dV, the
// others dP and dK. Both use the same code on different tiles. All threads share the elementwise step and dQ.
// A head wider than 64 is processed in chunks of 64 columns. If it is wider than 128, separate blocks compute
// the gradients of each 128 columns.
//   keys_kernel with a whole head (D <= 128): a block owns a head. For 32 keys, dK and dV stay in registers
//     while the block walks over the queries that see them. Each element of dQ is accumulated in memory by
//     one thread, in the order of the keys.
//   If there are too few heads to fill the GPU: keys_kernel computes dK and dV with a block for every 32 keys
//     of a head, and queries_kernel computes dQ with a block for every 32 queries. Blocks share no sums, so
//     no atomics are needed.
//   Operations: 5 T^2 D per head (half of five full products), or 7 T^2 D with two kernels. Each score also
//     takes an exponential and, with dropout, a quarter of a Philox block. Bytes: a pair of tiles reads Q, dO
//     and O, and reads and writes dQ: 160 D floats for 5120 D multiply-adds. So it is bound by arithmetic,
//     and next by shared memory, with one vec4 read for 9 multiply-adds per thread.
//
// Measured on an H200: at B=64 T=256 H=6 D=64, it takes 0.41 ms with dropout, 20 TFLOP/s. It reaches 20 to 25
// TFLOP/s at T=1024, and 12 to 17 at D=128.
#include <cmath>

#include "device/check.h"
#include "hip/attention_bf16.h"
#include "hip/attention_sm90.h"
#include "hip/check.h"
#include "hip/column_sums.h"
#include "hip/dropout_mask.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

constexpr int kSide = 32;  ///< queries and keys of a tile
constexpr int kThreads = 128, kHalf = kThreads / 2;

/// The tiles of a block, and the part of each thread. kHead is at least D; columns beyond D are zero.
template <int kHead, typename T>
struct BackwardTile {
  static constexpr int kChunk = kHead < 64 ? kHead : 64, kChunks = kHead / kChunk;
  static constexpr int kVecs = kChunk / 4 / kRowLanes;
  // The registers of a block hold the gradients of at most this many chunks; blockIdx.y selects the chunks.
  static constexpr int kOwn = kChunks < 2 ? kChunks : 2;
  using HeadTile = AttentionTile<kSide, kChunk>;
  using ScoreTile = AttentionTile<kSide, kSide>;
  using Loader = TileLoader<HeadTile, kThreads>;
  static constexpr int kSize = 4 * HeadTile::kSize + 2 * ScoreTile::kSize;  ///< vec4 of shared memory

  const BackwardHead<T>& head;
  float scale;
  DropoutMask mask;
  HeadTile q, k, v, g;  ///< g: dO
  ScoreTile s, ds;      ///< S, then F P; dP, then dS
  float *delta, *lse;   ///< [kSide]
  int half, tx, ty;
  // The tiles of this thread's half: it computes scores = a b^T and gradient = scores^T c.
  HeadTile a, b, c;
  ScoreTile scores;

  __device__ BackwardTile(const BackwardHead<T>& h, float scale_, const DropoutMask& mask_, vec4* memory,
                          float* rows)
      : head(h),
        scale(scale_),
        mask(mask_),
        q{memory},
        k{memory + HeadTile::kSize},
        v{memory + 2 * HeadTile::kSize},
        g{memory + 3 * HeadTile::kSize},
        s{memory + 4 * HeadTile::kSize},
        ds{memory + 4 * HeadTile::kSize + ScoreTile::kSize},
        delta(rows),
        lse(rows + kSide),
        half(threadIdx.x / kHalf),
        tx(threadIdx.x % kRowLanes),
        ty(threadIdx.x % kHalf / kRowLanes),
        a{half == 0 ? q.memory : g.memory},
        b{half == 0 ? k.memory : v.memory},
        c{half == 0 ? g.memory : q.memory},
        scores{half == 0 ? s.memory : ds.memory} {}

  static __device__ int own_chunk(int c) { return kOwn == kChunks ? c : blockIdx.y * kOwn + c; }

  /// A thread's piece of a chunk of dQ. The halves take different vec4, or different rows if kVecs is 1.
  static constexpr int kQueryRows = kVecs == 1 ? 2 : 4;
  __device__ int dq_row() const { return 4 * ty + (kVecs == 1 ? 2 * half : 0); }
  __device__ int dq_vec() const { return tx + (kVecs == 1 ? 0 : kRowLanes * half); }

  __device__ void load(const HeadTile& tile, const Rows<const T>& rows, int first, int chunk) const {
    Loader loader;
    loader.load(rows, first, chunk * kChunk);
    loader.store(tile);
  }

  __device__ void load_keys(int first_key, int chunk) const {
    load(k, head.k, first_key, chunk);
    load(v, head.v, first_key, chunk);
  }

  __device__ void load_queries(int first_query, int chunk) const {
    load(q, head.q, first_query, chunk);
    load(g, head.dout, first_query, chunk);
  }

  /// Computes delta and loads lse for the queries.
  __device__ void load_rows(int first_query) const {
    constexpr int kLanes = HeadTile::kRowVecs;  // lanes that load one row
    float dots[Loader::kCount] = {};
#pragma unroll 1
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      Loader a, b;
      a.load(head.dout, first_query, chunk * kChunk);
      b.load(head.out, first_query, chunk * kChunk);
#pragma unroll
      for (int i = 0; i < Loader::kCount; ++i) dots[i] = add_dot(dots[i], a.vecs[i], b.vecs[i]);
    }
#pragma unroll
    for (int i = 0; i < Loader::kCount; ++i) {
      dots[i] = reduce_lanes<kLanes>(dots[i], Add());
      if (Loader::vec(i) == 0) delta[Loader::row(i)] = dots[i];
    }
    const int query = first_query + threadIdx.x;
    if (threadIdx.x < kSide) lse[threadIdx.x] = query < head.q.rows ? head.lse[query] : 0.0f;
  }

  /// Computes S and dP from the tiles of queries and keys. Loads one of the two kinds first, or both if there
  /// are several chunks.
  template <bool kLoadKeys, bool kLoadQueries>
  __device__ void products(int first_query, int first_key) const {
    vec4 sum[4] = {};
#pragma unroll 1
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      __syncthreads();
      if (kLoadQueries || kChunks > 1) load_queries(first_query, chunk);
      if (kLoadQueries && chunk == 0) load_rows(first_query);
      if (kLoadKeys || kChunks > 1) load_keys(first_key, chunk);
      __syncthreads();
      multiply_abt<HeadTile::kRowVecs>(sum, a, 4 * ty, 0, b, 4 * tx);
    }
#pragma unroll
    for (int r = 0; r < 4; ++r) scores.at(4 * ty + r, tx) = sum[r];
    __syncthreads();
  }

  /// Turns S into F P, and dP into dS.
  __device__ void softmax_gradient(int first_query, int first_key) const {
#pragma unroll
    for (int i = 0; i < ScoreTile::kVecs / kThreads; ++i) {
      const int index = threadIdx.x + i * kThreads, row = index / ScoreTile::kRowVecs;
      const int vec = index % ScoreTile::kRowVecs;
      const int query = first_query + row, key = first_key + 4 * vec;
      vec4 p = s.at(row, vec), dp = ds.at(row, vec), f = filled<float, 4>(1.0f);
      if (mask.p > 0.0f) f = mask.factors(head.first_dropout_row + query, key / 4);
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float probability = key + e <= query ? expf(fmaf(p[e], scale, -lse[row])) : 0.0f;
        dp[e] = probability * fmaf(f[e], dp[e], -delta[row]) * scale;
        p[e] = f[e] * probability;
      }
      s.at(row, vec) = p;
      ds.at(row, vec) = dp;
    }
    __syncthreads();
  }
};

/// dK and dV for 32 keys at a time. With kWholeHead, a block takes all keys of a head and also computes dQ;
/// otherwise it takes one tile of keys.
template <int kHead, bool kWholeHead, typename T>
__global__ void __launch_bounds__(kThreads) keys_kernel(BackwardWork<T> work, DropoutMask mask) {
  using P = BackwardTile<kHead, T>;
  HIPGPT_SHARED(vec4, memory, [P::kSize]);
  HIPGPT_SHARED(float, rows, [2 * kSide]);
  const int32_t pass = mask.p > 0.0f ? *mask.pass : 0;
  mask.pass = &pass;  // read once, not for every factor
  const BackwardHead<T> head(work, blockIdx.x % work.sequence_heads);
  const P tile(head, work.scale, mask, memory, rows);
  // The most queries see the first keys, so these start first.
  const int first = kWholeHead ? 0 : blockIdx.x / work.sequence_heads * kSide;
  const int end = kWholeHead ? work.seq_len : first + 1;

  for (int first_key = first; first_key < end; first_key += kSide) {
    vec4 sum[P::kOwn][4][P::kVecs] = {};  // dV in the first half of the threads, dK in the other
    __syncthreads();
    if (P::kChunks == 1) tile.load_keys(first_key, 0);
    for (int first_query = first_key; first_query < work.seq_len; first_query += kSide) {
      tile.template products<false, true>(first_query, first_key);
      tile.softmax_gradient(first_query, first_key);
#pragma unroll
      for (int c = 0; c < P::kOwn; ++c) {
        if (P::kChunks > 1) {
          __syncthreads();
          tile.load_queries(first_query, P::own_chunk(c));
          if (kWholeHead) tile.load_keys(first_key, P::own_chunk(c));
          __syncthreads();
        }
        vec4 dq[P::kQueryRows][1] = {};
        const int row = first_query + tile.dq_row(), column = P::own_chunk(c) * P::kChunk + 4 * tile.dq_vec();
        if (kWholeHead && first_key > 0) {
#pragma unroll
          for (int r = 0; r < P::kQueryRows; ++r) dq[r][0] = head.dq.load_four(row + r, column);
        }
        multiply_atb<4, 4, 2>(sum[c], tile.scores, 4 * tile.ty, tile.c, 4 * tile.tx);
        if (kWholeHead) {
          multiply_ab(dq, tile.ds, tile.dq_row(), tile.k, tile.dq_vec());
#pragma unroll
          for (int r = 0; r < P::kQueryRows; ++r) head.dq.store_four(row + r, column, dq[r][0]);
        }
      }
    }
    const Rows<T> result{tile.half == 0 ? head.dv.data : head.dk.data, head.dq.stride, head.dq.rows,
                         head.dq.width, head.dq.aligned};
#pragma unroll
    for (int c = 0; c < P::kOwn; ++c) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
#pragma unroll
        for (int i = 0; i < P::kVecs; ++i)
          result.store_four(first_key + 4 * tile.ty + r,
                            P::own_chunk(c) * P::kChunk + 4 * (tile.tx + kRowLanes * i), sum[c][r][i]);
      }
    }
  }
}

/// dQ for 32 queries.
template <int kHead, typename T>
__global__ void __launch_bounds__(kThreads) queries_kernel(BackwardWork<T> work, DropoutMask mask) {
  using P = BackwardTile<kHead, T>;
  HIPGPT_SHARED(vec4, memory, [P::kSize]);
  HIPGPT_SHARED(float, rows, [2 * kSide]);
  const int32_t pass = mask.p > 0.0f ? *mask.pass : 0;
  mask.pass = &pass;
  const BackwardHead<T> head(work, blockIdx.x % work.sequence_heads);
  const P tile(head, work.scale, mask, memory, rows);
  // The last queries see the most keys, so they start first.
  const int tiles = (work.seq_len + kSide - 1) / kSide;
  const int first_query = (tiles - 1 - blockIdx.x / work.sequence_heads) * kSide;

  vec4 dq[P::kOwn][P::kQueryRows][1] = {};
  if (P::kChunks == 1) tile.load_queries(first_query, 0);
  tile.load_rows(first_query);
  for (int first_key = 0; first_key <= first_query; first_key += kSide) {
    tile.template products<true, false>(first_query, first_key);
    tile.softmax_gradient(first_query, first_key);
#pragma unroll
    for (int c = 0; c < P::kOwn; ++c) {
      if (P::kChunks > 1) {
        __syncthreads();
        tile.load(tile.k, head.k, first_key, P::own_chunk(c));
        __syncthreads();
      }
      multiply_ab(dq[c], tile.ds, tile.dq_row(), tile.k, tile.dq_vec());
    }
  }
#pragma unroll
  for (int c = 0; c < P::kOwn; ++c) {
#pragma unroll
    for (int r = 0; r < P::kQueryRows; ++r)
      head.dq.store_four(first_query + tile.dq_row() + r, P::own_chunk(c) * P::kChunk + 4 * tile.dq_vec(),
                         dq[c][r][0]);
  }
}

template <int kHead, typename T>
void launch(const Stream& stream, const BackwardWork<T>& work, const DropoutMask& mask) {
  using P = BackwardTile<kHead, T>;
  const unsigned heads = work.sequence_heads, parts = P::kChunks / P::kOwn;
  const unsigned tiles = (work.seq_len + kSide - 1) / kSide;
  // Wider heads would need more registers per thread than RDNA has.
  // dQ is summed in memory, for which bf16 has too few bits.
  if constexpr (kHead <= 128 && std::is_same_v<T, float>) {
    if (tiles == 1 || work.sequence_heads >= kTuning.attention.whole_heads * stream.compute_units) {
      hipLaunchKernelGGL((keys_kernel<kHead, true, T>), dim3(heads, parts), dim3(kThreads), 0, stream.handle,
                         work, mask);
      HIP_CHECK_LAUNCH("attention_backward");
      return;
    }
  }
  const dim3 grid(tiles * heads, parts);
  hipLaunchKernelGGL((keys_kernel<kHead, false, T>), grid, dim3(kThreads), 0, stream.handle, work, mask);
  HIP_CHECK_LAUNCH("attention_backward, keys");
  hipLaunchKernelGGL((queries_kernel<kHead, T>), grid, dim3(kThreads), 0, stream.handle, work, mask);
  HIP_CHECK_LAUNCH("attention_backward, queries");
}

/// Returns whether work.dqkv_sums has been done.
template <typename T>
bool attend_backward(const Stream& stream, const BackwardWork<T>& work, const DropoutMask& mask) {
  if constexpr (std::is_same_v<T, bf16>) {
    if constexpr (kMayHaveSm90) {
      if (work.on_matrix_cores && attention_fits_sm90(stream, work.head_size, work.aligned))
        return attend_backward_on_sm90(stream, work, mask);
    }
    if (work.on_matrix_cores) {
      attend_backward_on_matrix_cores(stream, work, mask);
      return false;
    }
  }
  auto kernels = launch<256, T>;
  if constexpr (kAttentionByLanes<T>) {
    if (work.head_size <= 128) kernels = launch<128, T>;
    if (work.head_size <= 64) kernels = launch<64, T>;
    if (work.head_size <= 32) kernels = launch<32, T>;
  }
  kernels(stream, work, mask);
  return false;
}

}  // namespace

void attention_backward(const Stream& stream, Tensor dqkv, Tensor dout, Tensor qkv, Tensor out, Tensor lse,
                        int heads, const Dropout& dropout, Tensor dqkv_sums) {
  check::attention_backward(dqkv, dout, qkv, out, lse, heads, dropout, dqkv_sums);
  const int batch = static_cast<int>(out.dim(0)), seq_len = static_cast<int>(out.dim(1));
  const int head_size = static_cast<int>(out.dim(2)) / heads;
  check_head_size(head_size);
  with_type_of(out, [&](auto type) {
    using T = decltype(type);
    BackwardWork<T> work{.dqkv = elements<T>(dqkv),
                         .dout = elements<T>(dout),
                         .qkv = elements<T>(qkv),
                         .out = elements<T>(out),
                         .lse = lse.f32(),
                         .sequence_heads = batch * heads,
                         .seq_len = seq_len,
                         .heads = heads,
                         .head_size = head_size,
                         .scale = 1.0f / std::sqrt(static_cast<float>(head_size))};
    choose_kernels(work, stream, [&](int pack) {
      return packs_aligned(pack, head_size, work.dqkv, work.dout, work.qkv, work.out);
    });
    if (dqkv_sums) work.dqkv_sums = dqkv_sums.f32();
    const bool summed = attend_backward(stream, work, DropoutMask(dropout));
    if (dqkv_sums && !summed)
      add_column_sums(stream, dqkv_sums, dqkv.reshape({out.dim(0) * out.dim(1), qkv.dim(2)}));
  });
}

}  // namespace hipgpt::hip
