// Causal attention for many queries and for a new token with a cache, without a [T,T] matrix.
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
// decode_kernel (one new token per sequence): a block takes a head, and each group of lanes takes every n-th
// key with its own online softmax. The results of the groups are combined in a fixed order. Operations: 4 D
// per key. Bytes: 8 D per key, read once. So it is bound by memory, or rather by how fast one compute unit
// can read, because there are only as many blocks as heads. Splitting a head would take a second launch to
// combine the parts, which costs as much as it saves unless the past is long.
//
// Measured on an H200: at B=64 T=256 H=6 D=64, it takes 0.139 ms with dropout and 0.130 ms without, 23 and 25
// TFLOP/s; at T=1024 it reaches 28 to 32. The fp32 peak is 67 TFLOP/s, and cuBLAS's products reach 51. One
// new token with 12 heads takes 3.6 us after 31 keys and 11.5 us after 1023.
#include <cmath>

#include "device/check.h"
#include "hip/attention_bf16.h"
#include "hip/attention_sm90.h"
#include "hip/check.h"
#include "hip/dropout_mask.h"
#include "hip/fault.h"
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

// ---- One new token per sequence -------------------------------------------------------------------------

/// New tokens and their caches. A cache holds `past` keys and values, but not yet the new ones.
template <typename T>
struct DecodeWork {
  T *out, *keys, *values;
  const T* qkv;
  const int32_t* past;
  int batch, heads, head_size, capacity;
  float scale;
  bool aligned;
  FaultReport report;
};

/// The online softmax of one query over the keys of a group of lanes. Each lane holds kVecs vec4 of the
/// output.
template <int kVecs>
struct DecodeState {
  float top = -INFINITY, total = 0.0f;
  vec4 out[kVecs] = {};

  __device__ void add(float score, const vec4 (&value)[kVecs]) {
    const float new_top = fmaxf(top, score);
    const float correction = expf(top - new_top), p = expf(score - new_top);
    top = new_top;
    total = fmaf(total, correction, p);
#pragma unroll
    for (int i = 0; i < kVecs; ++i) {
      out[i] = out[i] * correction;
      add_scaled(out[i], p, value[i]);
    }
  }
};

/// A group of kLanes lanes takes a key, and each lane 4 kVecs of its columns, with kLanes 4 kVecs >= D.
template <int kLanes, int kVecs, int kThreads, typename T>
__global__ void __launch_bounds__(kThreads) decode_kernel(DecodeWork<T> work) {
  constexpr int kGroups = kThreads / kLanes;
  constexpr int kAtOnce = 4 / kVecs > 0 ? 4 / kVecs : 1;  // keys of a group that are loaded together
  constexpr int kHead = kLanes * 4 * kVecs;
  HIPGPT_SHARED(float, group_top, [kGroups]);
  HIPGPT_SHARED(float, group_total, [kGroups]);
  HIPGPT_SHARED(vec4, group_out, [kGroups * kLanes * kVecs]);
  const int sequence = blockIdx.x / work.heads, d = work.head_size, past = *work.past;
  if (past < 0 || past >= work.capacity) return work.report();
  const int width = work.heads * d, column = blockIdx.x % work.heads * d;
  const int64_t cached = static_cast<int64_t>(sequence) * work.capacity * width + column;
  const int lane = threadIdx.x % kLanes, group = threadIdx.x / kLanes;
  const Rows<const T> new_rows{work.qkv + sequence * 3 * width + column, width, 3, d, work.aligned};
  const Rows<T> keys{work.keys + cached, width, past + 1, d, work.aligned};
  const Rows<T> values{work.values + cached, width, past + 1, d, work.aligned};

  vec4 q[kVecs];
#pragma unroll
  for (int i = 0; i < kVecs; ++i) {
    const int at = 4 * (lane + kLanes * i);
    q[i] = new_rows.load_four(0, at) * work.scale;
    if (group == 0) {
      keys.store_four(past, at, new_rows.load_four(1, at));
      values.store_four(past, at, new_rows.load_four(2, at));
    }
  }
  __syncthreads();  // the new row is in the cache

  DecodeState<kVecs> state;
  for (int first = 0; first <= past; first += kGroups * kAtOnce) {
    vec4 k[kAtOnce][kVecs], v[kAtOnce][kVecs];
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
#pragma unroll
      for (int i = 0; i < kVecs; ++i) {
        k[n][i] = keys.load_four(first + n * kGroups + group, 4 * (lane + kLanes * i));
        v[n][i] = values.load_four(first + n * kGroups + group, 4 * (lane + kLanes * i));
      }
    }
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      float score = 0.0f;
#pragma unroll
      for (int i = 0; i < kVecs; ++i) score = add_dot(score, q[i], k[n][i]);
      score = reduce_lanes<kLanes>(score, Add());
      if (first + n * kGroups + group <= past) state.add(score, v[n]);
    }
  }

#pragma unroll
  for (int i = 0; i < kVecs; ++i) group_out[group * kLanes * kVecs + lane + kLanes * i] = state.out[i];
  if (lane == 0) {
    group_top[group] = state.top;
    group_total[group] = state.total;
  }
  __syncthreads();
  if (static_cast<int>(threadIdx.x) >= d) return;
  // A group without keys has top = -inf, so its weight is 0.
  float top = group_top[0], total = 0.0f, out = 0.0f;
  for (int g = 1; g < kGroups; ++g) top = fmaxf(top, group_top[g]);
  for (int g = 0; g < kGroups; ++g) {
    const float weight = expf(group_top[g] - top);
    total = fmaf(weight, group_total[g], total);
    out = fmaf(weight, reinterpret_cast<const float*>(group_out)[g * kHead + threadIdx.x], out);
  }
  work.out[sequence * width + column + threadIdx.x] = from_float<T>(out / total);
}

template <int kLanes, int kVecs, typename T>
void launch_decode(const Stream& stream, const DecodeWork<T>& work) {
  const dim3 grid(work.batch * work.heads);
  // A small cache has too few keys for many threads.
  if (work.capacity <= 128) {
    hipLaunchKernelGGL((decode_kernel<kLanes, kVecs, 256, T>), grid, dim3(256), 0, stream.handle, work);
  } else {
    hipLaunchKernelGGL((decode_kernel<kLanes, kVecs, 512, T>), grid, dim3(512), 0, stream.handle, work);
  }
  HIP_CHECK_LAUNCH("decode");
}

template <typename T>
void decode(const Stream& stream, const DecodeWork<T>& work) {
  if (work.head_size <= 32) {
    launch_decode<8, 1>(stream, work);
  } else if (work.head_size <= 64) {
    launch_decode<16, 1>(stream, work);
  } else if (work.head_size <= 128) {
    launch_decode<32, 1>(stream, work);
  } else {
    launch_decode<32, 2>(stream, work);
  }
}

/// For each sequence (blockIdx.y), copies the keys and values of `count` rows of qkv to its caches, starting
/// at row *past.
template <typename T>
__global__ void __launch_bounds__(256) append_kernel(T* keys, T* values, const T* qkv, int count, int width,
                                                     int capacity, const int32_t* past, FaultReport report) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, sequence = blockIdx.y;
  if (i >= static_cast<int64_t>(count) * width) return;
  if (*past < 0 || *past > capacity - count) return report();
  const T* row = qkv + (sequence * count + i / width) * 3 * width + i % width;
  const int64_t at = (sequence * capacity + *past) * width + i;
  keys[at] = row[width];
  values[at] = row[2 * width];
}

}  // namespace

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

void attention_cached(const Stream& stream, Tensor out, Tensor keys, Tensor values, Tensor qkv, int heads,
                      Tensor past) {
  check::attention_cached(out, keys, values, qkv, heads, past);
  const int batch = static_cast<int>(out.dim(0)), count = static_cast<int>(out.dim(1));
  const int width = static_cast<int>(out.dim(2)), capacity = static_cast<int>(keys.dim(1));
  const FaultReport report{stream.fault, Fault::kAttentionCached};
  with_type_of(out, [&](auto type) {
    using T = decltype(type);
    T *const q = elements<T>(qkv), *const k = elements<T>(keys), *const v = elements<T>(values);
    AttentionWork<T> work(out, heads);
    work.queries = q;
    work.keys = k;
    work.values = v;
    work.key_stride = width;
    work.key_rows = capacity;
    work.past = past.i32();
    if (count == 1) {
      const bool aligned = packs_aligned(4, work.head_size, work.out, k, v, q);
      return decode<T>(stream, {work.out, k, v, q, past.i32(), batch, heads, work.head_size, capacity,
                                work.scale, aligned, report});
    }
    const auto blocks = static_cast<unsigned>((static_cast<int64_t>(count) * width + 255) / 256);
    hipLaunchKernelGGL(append_kernel<T>, dim3(blocks, batch), dim3(256), 0, stream.handle, k, v, q, count,
                       width, capacity, past.i32(), report);
    HIP_CHECK_LAUNCH("append");
    choose_kernels(work, stream,
                   [&](int pack) { return packs_aligned(pack, work.head_size, work.out, k, v, q); });
    attend(stream, work, DropoutMask(Dropout{}));
  });
}

}  // namespace hipgpt::hip
