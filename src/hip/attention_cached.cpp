// Attention of new tokens to themselves and to a cache of the keys and values of earlier ones.
//
// decode_kernel (one new token per sequence): a block takes a head, and each group of lanes takes every n-th
// key with its own online softmax. The results of the groups are combined in a fixed order. Operations: 4 D
// per key. Bytes: 4 D per key in bf16, 8 D in fp32, read once. So it is bound by memory, or rather by how fast one
// compute unit can read, because there are only as many blocks as heads. The block reads a key with 16 bytes a lane.
// It starts early (early_start.h), has the cache fetched while the kernel before it runs, and loads the first keys
// before it knows where the new token is.
//
// Measured on an H200 by tests/bench/decode_bench: 12 heads of 64 in bf16 take 2.5, 3.0, 3.4 and 9.6 us after 32, 128, 255
// and 1000 tokens. Beyond 256, the keys of a block no longer arrive together.
//
// Several new tokens, a prompt or a part of one, are appended to the cache by a kernel of their own. Then the
// kernels of attention.cpp take them, with queries that begin after the `past` first keys.
#include <cmath>

#include "device/check.h"
#include "hip/attention_bf16.h"
#include "hip/check.h"
#include "hip/early_start.h"
#include "hip/fault.h"
#include "hip/reduce.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

/// New tokens and their caches. A cache holds `past` keys and values, but not yet the new ones.
template <typename T>
struct DecodeWork {
  T *out, *keys, *values;
  const T* qkv;
  const int32_t* past;
  int batch, heads, head_size, capacity;
  float scale;
  FaultReport report;
};

constexpr int kDecodePiece = 8;  // columns of a lane

/// The online softmax of one query over some of the keys. The lanes of a group share the columns of the output.
struct DecodeState {
  float top = -INFINITY, total = 0.0f;
  Vec<float, kDecodePiece> out = {};

  /// Scales the sums to another maximum.
  __device__ void rescale(float new_top) {
    const float correction = top > -INFINITY ? expf(top - new_top) : 0.0f;
    top = new_top;
    total *= correction;
    out = out * correction;
  }

  /// Adds keys, of which those with a score of -inf do not count.
  template <int kCount>
  __device__ void add(const float (&scores)[kCount], const Vec<float, kDecodePiece> (&values)[kCount]) {
    float new_top = top;
#pragma unroll
    for (int n = 0; n < kCount; ++n) new_top = fmaxf(new_top, scores[n]);
    if (!(new_top > -INFINITY)) return;
    rescale(new_top);
#pragma unroll
    for (int n = 0; n < kCount; ++n) {
      const float p = expf(scores[n] - top);
      total += p;
      add_scaled(out, p, values[n]);
    }
  }

  /// Adds the states of the kGroups groups of a team, of kLanes lanes each. All of them receive the result.
  template <int kLanes, int kGroups>
  __device__ void reduce() {
    const float new_top = reduce_lanes<kGroups, kLanes>(top, Max());
    if (new_top > -INFINITY) rescale(new_top);
    total = reduce_lanes<kGroups, kLanes>(total, Add());
    out = map(out, [](float v) { return reduce_lanes<kGroups, kLanes>(v, Add()); });
  }
};

/// A group of kLanes lanes takes a key, and each lane kDecodePiece of its columns. A block takes a head.
template <int kLanes, int kThreads, bool kAligned, typename T>
__global__ void HIPGPT_LAUNCH_BOUNDS(kThreads, 1) decode_kernel(DecodeWork<T> work) {
  constexpr int kGroups = kThreads / kLanes, kTeams = kThreads / kTeam;
  constexpr int kAtOnce = 4;  // keys of a group that are loaded together
  constexpr int kHead = kLanes * kDecodePiece;
  HIPGPT_SHARED(float, team_top, [kTeams]);
  HIPGPT_SHARED(float, team_total, [kTeams]);
  HIPGPT_SHARED(float, team_out, [kTeams][kHead]);
  const int sequence = blockIdx.x / work.heads, d = work.head_size;
  const int width = work.heads * d, column = blockIdx.x % work.heads * d;
  const int lane = threadIdx.x % kLanes, group = threadIdx.x / kLanes, at = kDecodePiece * lane;
  const int64_t cached = static_cast<int64_t>(sequence) * work.capacity * width + column;
  T *const keys = work.keys + cached, *const values = work.values + cached;
  const int expected = *work.past;  // almost always right, but an earlier kernel may yet change it
  for (int key = group; key < min(expected, work.capacity); key += kGroups) {
    prefetch<kLanes>(keys + static_cast<int64_t>(key) * width, d * static_cast<int>(sizeof(T)), lane);
    prefetch<kLanes>(values + static_cast<int64_t>(key) * width, d * static_cast<int>(sizeof(T)), lane);
  }
  wait_for_earlier_kernels();
  let_next_kernel_start();

  const auto load = [&](const T* row) { return load_floats<kAligned, kDecodePiece>(row, at, d); };
  Vec<float, kDecodePiece> k[kAtOnce], v[kAtOnce];
  const auto load_keys = [&](int first, int end) {
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      const int key = first + n * kGroups + group;
      const int64_t row = static_cast<int64_t>(key) * width;
      k[n] = v[n] = {};
      if (key < end) {
        k[n] = load(keys + row);
        v[n] = load(values + row);
      }
    }
  };
  load_keys(0, min(expected, work.capacity));
  const T* const new_row = work.qkv + static_cast<int64_t>(sequence) * 3 * width + column;
  const auto q = load(new_row) * work.scale, new_key = load(new_row + width),
             new_value = load(new_row + 2 * width);
  const int past = *work.past;
  if (past < 0 || past >= work.capacity) return work.report();
  if (past != expected) load_keys(0, past);
  if (group == 0) {
    store_floats<kAligned>(keys + static_cast<int64_t>(past) * width, at, d, new_key);
    store_floats<kAligned>(values + static_cast<int64_t>(past) * width, at, d, new_value);
  }

  DecodeState state;
  for (int first = 0; first <= past; first += kGroups * kAtOnce) {
    if (first > 0) load_keys(first, past);
    float scores[kAtOnce];
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      const int key = first + n * kGroups + group;
      if (key == past) {
        k[n] = new_key;
        v[n] = new_value;
      }
      const float score = reduce_lanes<kLanes>(add_dot(0.0f, q, k[n]), Add());
      scores[n] = key <= past ? score : -INFINITY;
    }
    state.add(scores, v);
  }

  state.template reduce<kLanes, kTeam / kLanes>();
  const int team = threadIdx.x / kTeam;
  if (threadIdx.x % kTeam < kLanes) {
#pragma unroll
    for (int e = 0; e < kDecodePiece; ++e) team_out[team][at + e] = state.out[e];
    if (lane == 0) {
      team_top[team] = state.top;
      team_total[team] = state.total;
    }
  }
  __syncthreads();
  if (static_cast<int>(threadIdx.x) >= d) return;
  // A team without keys has top = -inf, so its weight is 0.
  float top = team_top[0], total = 0.0f, out = 0.0f;
#pragma unroll
  for (int t = 1; t < kTeams; ++t) top = fmaxf(top, team_top[t]);
#pragma unroll
  for (int t = 0; t < kTeams; ++t) {
    const float weight = expf(team_top[t] - top);
    total = fmaf(weight, team_total[t], total);
    out = fmaf(weight, team_out[t][threadIdx.x], out);
  }
  work.out[static_cast<int64_t>(sequence) * width + column + threadIdx.x] = from_float<T>(out / total);
}

template <int kLanes, bool kAligned, typename T>
void launch_decode(const Stream& stream, const DecodeWork<T>& work) {
  const dim3 grid(work.batch * work.heads);
  // A small cache has too few keys for many threads.
  if (work.capacity <= 128) {
    launch_early(stream, decode_kernel<kLanes, 256, kAligned, T>, grid, dim3(256), work);
  } else {
    launch_early(stream, decode_kernel<kLanes, 512, kAligned, T>, grid, dim3(512), work);
  }
}

template <bool kAligned, typename T>
void decode(const Stream& stream, const DecodeWork<T>& work) {
  if (work.head_size <= 32) {
    launch_decode<4, kAligned>(stream, work);
  } else if (work.head_size <= 64) {
    launch_decode<8, kAligned>(stream, work);
  } else if (work.head_size <= 128) {
    launch_decode<16, kAligned>(stream, work);
  } else {
    launch_decode<32, kAligned>(stream, work);
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
      const DecodeWork<T> step = {work.out,       k,        v,          q,     past.i32(), batch, heads,
                                  work.head_size, capacity, work.scale, report};
      return packs_aligned(kDecodePiece, work.head_size, k, v, q) ? decode<true>(stream, step)
                                                                  : decode<false>(stream, step);
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
