// Token and position embeddings.
//   embedding           12 bytes per element, 6 in bf16: reads two rows, writes one
//   embedding_backward  8 to 16 bytes per element: reads dy twice, once for each table, and reads and writes
//                       the rows of dwte that occur; also R^2 comparisons of tokens
// Both are memory-bound: the minimum time is these bytes divided by the bandwidth. The comparisons, with two
// operations each, are estimated to take as long as the bytes at about R = 10,000 on a large GPU, and 0.3 ms
// at 65,536.
//
// A token may occur many times, and its rows must be added in one order. So the first kernel sorts the
// positions by token; equal tokens keep their order. The place of a position is the number of positions that
// sort before it, which a team of 32 lanes counts for four positions at a time. The sorted positions are
// split into chunks of 32, and a team sums the runs of equal tokens in each chunk. So all teams have the same
// work, whatever the lengths of runs. The sum of a run inside a chunk is added to dwte. If a run crosses
// chunks, its parts go to scratch, and a last kernel adds them in order.
//
// Measured on an H200 (4.3 TB/s by copying): backward takes 72 us for 16384 x 384, which is 17 % of this
// bandwidth. For 8192 x 768, it takes 45 to 50 us, 41 to 50 %. The comparisons bound it. Forward takes 8 to 9
// us, from the cache.
#include <algorithm>

#include "device/check.h"
#include "error.h"
#include "hip/bf16.h"
#include "hip/check.h"
#include "hip/fault.h"
#include "hip/reduce.h"
#include "hip/vec.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

constexpr int kThreads = 256, kTeams = kThreads / kTeam;
constexpr int kSlice = 4 * kTeam;  // columns of a team, a vec4 in each lane

int blocks_for(int64_t work, int per_block) {
  return static_cast<int>((work + per_block - 1) / per_block);
}

// ---- Forward --------------------------------------------------------------------------------------------

/// kPack columns of a row of a table with `width` columns, which are bf16, fp32 or, in groups, int8.
template <bool kAligned, int kPack, typename Table>
__device__ Vec<float, kPack> load_columns(const Table* table, int64_t row, int column, int width) {
  if constexpr (std::is_same_v<Table, Int8Group>) {
    constexpr int kGroup = Int8Group::kSize;  // a multiple of a pack; zeros fill the last one of a row
    const Int8Group& group = table[row * ((width + kGroup - 1) / kGroup) + column / kGroup];
    Vec<float, kPack> v;
#pragma unroll
    for (int e = 0; e < kPack; ++e)
      v[e] = group.scale * static_cast<float>(group.values[column % kGroup + e]);
    return v;
  } else {
    return load_floats<kAligned, kPack>(table + row * width, column, width);
  }
}

template <bool kAligned, typename T, typename Table>
__global__ void __launch_bounds__(kThreads)
    embedding_kernel(T* __restrict__ y, const int32_t* __restrict__ tokens, const Table* __restrict__ wte,
                     const T* __restrict__ wpe, const int32_t* first_position, int count, int seq_len,
                     int width, int vocab, int positions, FaultReport report) {
  constexpr int kPack = kVecSize<T>;
  const int i = blockIdx.x * kTeams + threadIdx.x / kTeam;
  if (i >= count) return;
  const int64_t position = (first_position != nullptr ? int64_t{*first_position} : 0) + i % seq_len;
  const int32_t token = tokens[i];
  if (token < 0 || token >= vocab || position < 0 || position >= positions) return report();
#pragma unroll 4
  for (int column = kPack * (threadIdx.x % kTeam); column < width; column += kPack * kTeam) {
    const auto v = load_columns<kAligned, kPack>(wte, token, column, width) +
                   load_columns<kAligned, kPack>(wpe, position, column, width);
    store_floats<kAligned>(y + static_cast<int64_t>(i) * width, column, width, v);
  }
}

// ---- Backward -------------------------------------------------------------------------------------------

template <typename T>
struct Backward {
  float *dwte, *dwpe;
  const T* dy;
  const int32_t* tokens;
  int32_t *sorted_position, *sorted_token;  // [count]
  float* partial;                           // [chunks, 2, width]: parts of each chunk's first and last run
  int count, seq_len, width, vocab, chunk, chunks;
  FaultReport report;
};

/// below[k] += the number of tokens in tokens[first ... last-1] that are less than limit[k], or equal to it
/// if kOrEqual. Each lane counts only its own part of the tokens.
template <bool kOrEqual, int kCount>
__device__ void count_below(int (&below)[kCount], const int32_t* tokens, int first, int last,
                            const int32_t (&limit)[kCount]) {
#pragma unroll 4
  for (int j = first + threadIdx.x % kTeam; j < last; j += kTeam) {
    const int32_t token = tokens[j];
#pragma unroll
    for (int k = 0; k < kCount; ++k) below[k] += kOrEqual ? token <= limit[k] : token < limit[k];
  }
}

constexpr int kRanked = 4;  // positions that a team sorts at a time

/// Sorts the positions of this team: after all smaller tokens, and after equal tokens at earlier positions.
template <typename T>
__device__ void sort_positions(const Backward<T>& a, int block) {
  const int i = (block * kTeams + threadIdx.x / kTeam) * kRanked, lane = threadIdx.x % kTeam;
  int32_t own[kRanked];
  int below[kRanked] = {};
#pragma unroll
  for (int k = 0; k < kRanked; ++k) {
    own[k] = i + k < a.count ? a.tokens[i + k] : 0;
  }
  count_below<true>(below, a.tokens, 0, min(i, a.count), own);
  count_below<false>(below, a.tokens, i + kRanked, a.count, own);
#pragma unroll
  for (int k = 0; k < kRanked; ++k) {
    below[k] = reduce_lanes<kTeam>(below[k], Add());
#pragma unroll
    for (int l = 0; l < kRanked; ++l)
      if (i + l < a.count && (l < k ? own[l] <= own[k] : own[l] < own[k])) ++below[k];
    if (lane == 0 && i + k < a.count) {
      a.sorted_position[below[k]] = i + k;
      a.sorted_token[below[k]] = own[k];
    }
  }
}

/// dwpe[t] += sum_b dy[b,t] for a slice of columns. Each team sums some of the b, and team 0 adds their sums.
template <bool kAligned, typename T>
__device__ void add_position_gradients(const Backward<T>& a, int t, int slice) {
  const int lane = threadIdx.x % kTeam, team = threadIdx.x / kTeam;
  const int column = slice * kSlice + 4 * lane, batch = a.count / a.seq_len;
  vec4 total = {};
#pragma unroll 4
  for (int b = team; b < batch; b += kTeams)
    total = total + load_floats<kAligned, 4>(a.dy + (static_cast<int64_t>(b) * a.seq_len + t) * a.width,
                                             column, a.width);
  total = sum_thread_rows<kThreads, kTeam>(total);
  if (team > 0) return;
  float* row = a.dwpe + static_cast<int64_t>(t) * a.width;
  store<kAligned>(row, column, a.width, load<kAligned>(row, column, a.width) + total);
}

/// Does two independent tasks in one launch: the first `sort_blocks` blocks sort, the others compute dwpe.
template <bool kAligned, typename T>
__global__ void __launch_bounds__(kThreads) sort_and_add_positions_kernel(Backward<T> a, int sort_blocks) {
  const int block = blockIdx.x;
  if (block < sort_blocks) {
    sort_positions(a, block);
  } else {
    add_position_gradients<kAligned>(a, (block - sort_blocks) % a.seq_len, (block - sort_blocks) / a.seq_len);
  }
}

/// dwte[token] += v, for four columns.
template <bool kAligned, typename T>
__device__ void add_to_row(const Backward<T>& a, int32_t token, int column, vec4 v) {
  if (token < 0 || token >= a.vocab) return a.report();
  float* row = a.dwte + static_cast<int64_t>(token) * a.width;
  store<kAligned>(row, column, a.width, load<kAligned>(row, column, a.width) + v);
}

/// Sums the runs of each chunk, for a slice of columns.
template <bool kAligned, typename T>
__global__ void __launch_bounds__(kThreads) add_chunks_kernel(Backward<T> a) {
  constexpr int kBatch = 8;  // rows loaded at a time, so that their latencies overlap
  const int chunk = blockIdx.x * kTeams + threadIdx.x / kTeam;
  const int column = blockIdx.y * kSlice + 4 * (threadIdx.x % kTeam);
  if (chunk >= a.chunks || column >= a.width) return;
  const int begin = chunk * a.chunk, end = min(begin + a.chunk, a.count);
  bool starts_here = begin == 0 || a.sorted_token[begin - 1] != a.sorted_token[begin];
  vec4 total = {};
  for (int first = begin; first < end; first += kBatch) {
    vec4 rows[kBatch];
    int32_t tokens[kBatch + 1];
#pragma unroll
    for (int r = 0; r <= kBatch; ++r) tokens[r] = first + r < a.count ? a.sorted_token[first + r] : -1;
#pragma unroll
    for (int r = 0; r < kBatch; ++r)
      if (first + r < end)
        rows[r] = load_floats<kAligned, 4>(
            a.dy + static_cast<int64_t>(a.sorted_position[first + r]) * a.width, column, a.width);
#pragma unroll
    for (int r = 0; r < kBatch; ++r) {
      if (first + r >= end) break;
      total = total + rows[r];
      const bool ends = tokens[r] != tokens[r + 1];
      if (!ends && first + r + 1 < end) continue;
      if (starts_here && ends) {
        add_to_row<kAligned>(a, tokens[r], column, total);
      } else {
        store<kAligned>(a.partial + (2 * static_cast<int64_t>(chunk) + starts_here) * a.width, column,
                        a.width, total);
      }
      total = {};
      starts_here = true;
    }
  }
}

/// The first chunk after `chunk` that does not start with `token`, the last token of `chunk`.
template <typename T>
__device__ int chunk_after_run(const Backward<T>& a, int chunk, int32_t token) {
  int low = chunk + 1, high = a.chunks;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (a.sorted_token[middle * a.chunk] == token) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/// Adds to dwte the parts of a run that starts in one chunk and ends in a later one.
template <bool kAligned, typename T>
__global__ void __launch_bounds__(kThreads) add_runs_across_chunks_kernel(Backward<T> a) {
  const int chunk = blockIdx.x * kTeams + threadIdx.x / kTeam;
  const int column = blockIdx.y * kSlice + 4 * (threadIdx.x % kTeam);
  if (chunk + 1 >= a.chunks || column >= a.width) return;
  const int begin = chunk * a.chunk, next = begin + a.chunk;
  const int32_t token = a.sorted_token[next - 1];
  if (a.sorted_token[next] != token) return;
  if (begin > 0 && a.sorted_token[begin - 1] == token) return;  // the run starts in an earlier chunk
  const int after = chunk_after_run(a, chunk, token);
  vec4 total = load<kAligned>(a.partial + (2 * static_cast<int64_t>(chunk) + 1) * a.width, column, a.width);
#pragma unroll 8
  for (int c = chunk + 1; c < after; ++c)
    total = total + load<kAligned>(a.partial + 2 * static_cast<int64_t>(c) * a.width, column, a.width);
  add_to_row<kAligned>(a, token, column, total);
}

template <bool kAligned, typename T>
void launch_backward(const Stream& stream, const Backward<T>& a) {
  const int slices = blocks_for(a.width, kSlice), sort_blocks = blocks_for(a.count, kTeams * kRanked);
  hipLaunchKernelGGL((sort_and_add_positions_kernel<kAligned, T>), dim3(sort_blocks + a.seq_len * slices),
                     dim3(kThreads), 0, stream.handle, a, sort_blocks);
  HIP_CHECK_LAUNCH("embedding_backward, positions");
  const dim3 grid(blocks_for(a.chunks, kTeams), slices);
  hipLaunchKernelGGL((add_chunks_kernel<kAligned, T>), grid, dim3(kThreads), 0, stream.handle, a);
  HIP_CHECK_LAUNCH("embedding_backward, chunks");
  if (a.chunks == 1) return;
  hipLaunchKernelGGL((add_runs_across_chunks_kernel<kAligned, T>), grid, dim3(kThreads), 0, stream.handle, a);
  HIP_CHECK_LAUNCH("embedding_backward, runs");
}

}  // namespace

void embedding(const Stream& stream, Tensor y, Tensor tokens, Tensor wte, Tensor wpe, Tensor first_position) {
  check::embedding(y, tokens, wte, wpe, first_position);
  const int count = static_cast<int>(tokens.size()), seq_len = static_cast<int>(tokens.dim(1));
  const int width = static_cast<int>(wte.dim(1));
  const dim3 grid(blocks_for(count, kTeams));
  with_type_of(y, [&](auto type) {
    using T = decltype(type);
    const auto run = [&](auto kernel, const auto* table) {
      hipLaunchKernelGGL(kernel, grid, dim3(kThreads), 0, stream.handle, elements<T>(y), tokens.i32(), table,
                         elements<T>(wpe), first_position ? first_position.i32() : nullptr, count, seq_len,
                         width, static_cast<int>(wte.dim(0)), static_cast<int>(wpe.dim(0)),
                         FaultReport{stream.fault, Fault::kEmbedding});
    };
    if (wte.dtype() == DType::kInt8) {
      return rows_aligned(width, elements<T>(y), elements<T>(wpe))
                 ? run(embedding_kernel<true, T, Int8Group>, wte.int8())
                 : run(embedding_kernel<false, T, Int8Group>, wte.int8());
    }
    const T* const table = elements<T>(wte);
    rows_aligned(width, elements<T>(y), table, elements<T>(wpe)) ? run(embedding_kernel<true, T, T>, table)
                                                                 : run(embedding_kernel<false, T, T>, table);
  });
  HIP_CHECK_LAUNCH("embedding");
}

void embedding_backward(const Stream& stream, Tensor dwte, Tensor dwpe, Tensor dy, Tensor tokens) {
  check::embedding_backward(dwte, dwpe, dy, tokens);
  const int count = static_cast<int>(tokens.size()), seq_len = static_cast<int>(tokens.dim(1));
  const int width = static_cast<int>(dwte.dim(1));
  // Scratch holds two integers per position, padded to a multiple of 16 bytes, and then the parts of runs.
  // Longer chunks have fewer parts.
  const int64_t integers = (2 * static_cast<int64_t>(count) + 3) / 4 * 4;
  int chunk = 32;
  const auto floats = [&] { return integers + 2 * static_cast<int64_t>(blocks_for(count, chunk)) * width; };
  while (chunk < count && floats() > stream.scratch_floats) chunk *= 2;
  if (floats() > stream.scratch_floats)
    throw Error("embedding_backward: too little scratch memory for this batch; make the batch smaller");

  auto* sorted = reinterpret_cast<int32_t*>(stream.scratch);
  float* partial = stream.scratch + integers;
  with_type_of(dy, [&](auto type) {
    using T = decltype(type);
    const Backward<T> a = {.dwte = dwte.f32(),
                           .dwpe = dwpe.f32(),
                           .dy = elements<T>(dy),
                           .tokens = tokens.i32(),
                           .sorted_position = sorted,
                           .sorted_token = sorted + count,
                           .partial = partial,
                           .count = count,
                           .seq_len = seq_len,
                           .width = width,
                           .vocab = static_cast<int>(dwte.dim(0)),
                           .chunk = chunk,
                           .chunks = blocks_for(count, chunk),
                           .report = {stream.fault, Fault::kEmbeddingBackward}};
    if (packs_aligned(4, width, a.dwte, a.dwpe, a.dy, stream.scratch)) {
      launch_backward<true>(stream, a);
    } else {
      launch_backward<false>(stream, a);
    }
  });
}

}  // namespace hipgpt::hip
