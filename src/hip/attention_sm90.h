// What the attention kernels of NVIDIA's Hopper share. They take heads of 64 columns, and tiles of 128 rows.
//
// A block has three warpgroups. One copies: it keeps tiles of the block's own rows, and stages of the rows that
// these visit, on their way. Each of the other two owns 64 rows of a tile. While one computes exponentials,
// the matrix cores work for the other. Blocks stay for the whole launch, so the copies for the next tile run
// during the products of this one.
#pragma once

#include "hip/attention_bf16.h"
#include "hip/fast_math.h"
#include "hip/launch.h"
#include "hip/mma/sm90.h"

namespace hipgpt::hip {

constexpr int kSm90Head = 64, kSm90Rows = 128;
constexpr int kSm90TileBytes = kSm90Rows * kSm90Head * 2;

#if defined(__CUDACC__)
constexpr bool kMayHaveSm90 = true;
#else
constexpr bool kMayHaveSm90 = false;
#endif

/// Whether the kernels of sm_90 can compute attention. Rows must begin at multiples of 16 bytes.
inline bool attention_fits_sm90(const Stream& stream, int head_size, bool aligned) {
  return stream.wgmma && head_size == kSm90Head && aligned;
}

void attend_on_sm90(const Stream& stream, const AttentionWork<bf16>& work, const DropoutMask& mask);
bool attend_backward_on_sm90(const Stream& stream, const BackwardWork<bf16>& work, const DropoutMask& mask);

#if defined(__CUDACC__)

/// The matrices that lie side by side in rows of qkv; an activation has only the first.
enum Part { kQueries, kKeys, kValues };

/// The tiles of all heads, in the order in which the blocks take them. Tile t of `tiles` visits t + 1 tiles, or
/// tiles - t. A block takes a long tile and a short one of the same head in turn, so that all pairs are of one
/// length, and the rows that they visit stay in the L2 cache. If there are few pairs, longer tiles come first.
struct Sm90Schedule {
  int heads, tiles;
  bool last_is_longest, paired;

  Sm90Schedule(const Stream& stream, int sequence_heads, int seq_len, bool last_is_longest)
      : heads(sequence_heads),
        tiles((seq_len + kSm90Rows - 1) / kSm90Rows),
        last_is_longest(last_is_longest),
        paired(static_cast<int64_t>(heads) * (tiles / 2) >= 2 * stream.compute_units) {}

  /// Calls f(head, tile) for each tile of this block.
  template <typename F>
  __device__ __forceinline__ void for_each(const F& f) const {
    const int pairs = paired ? (tiles + 1) / 2 : tiles;
#pragma unroll 1
    for (int index = blockIdx.x; index < heads * pairs; index += gridDim.x) {
      const int head = paired ? index / pairs : index % heads;
      int from_longest = paired ? index % pairs : index / heads;
      while (true) {
        f(head, last_is_longest ? tiles - 1 - from_longest : from_longest);
        const int partner = tiles - 1 - from_longest;
        if (!paired || partner <= from_longest) break;
        from_longest = partner;
      }
    }
  }
};

/// Shared memory and barriers of a block: two sets of kOwn tiles for its own rows, kStages stages of two tiles
/// and kStageExtra bytes, and kResults tiles on their way to memory.
template <int kOwn_, int kStages_, int kResults, int kStageExtra = 0>
struct Sm90AttentionShape {
  static constexpr int kOwn = kOwn_, kStages = kStages_;
  static constexpr int kOwnBytes = kOwn * kSm90TileBytes, kStageBytes = 2 * kSm90TileBytes + kStageExtra;
  static constexpr int kShared = 1024 + 2 * kOwnBytes + kStages * kStageBytes + kResults * kSm90TileBytes;
  static constexpr int kBarriers = 2 * kStages + 4;
  /// Arrivals that fill and empty a stage. TMA and products count as one each for a warp and for a warpgroup;
  /// extra bytes are written by 32 lanes and read by all threads.
  static constexpr int kFull = kStageExtra > 0 ? 32 : 1, kEmpty = kStageExtra > 0 ? 2 * sm90::kWarpgroup : 2;
  static_assert(kStageBytes % 1024 == 0 && kShared <= 227 * 1024 - 256);
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

template <typename Shape>
struct Sm90AttentionMemory {
  uint32_t memory, barriers;  // addresses in shared memory

  __device__ uint32_t own(int set, int tile) const {
    return memory + set * Shape::kOwnBytes + tile * kSm90TileBytes;
  }
  __device__ uint32_t other(int stage, int tile) const {
    return memory + 2 * Shape::kOwnBytes + stage * Shape::kStageBytes + tile * kSm90TileBytes;
  }
  __device__ uint32_t extra(int stage) const { return other(stage, 2); }
  __device__ uint32_t result(int tile) const { return other(Shape::kStages, tile); }

  __device__ uint32_t full(int stage) const { return barriers + 8 * stage; }
  __device__ uint32_t empty(int stage) const { return full(Shape::kStages + stage); }
  __device__ uint32_t own_full(int set) const { return full(2 * Shape::kStages + set); }
  __device__ uint32_t own_empty(int set) const { return full(2 * Shape::kStages + 2 + set); }

  __device__ void init() const {
    for (int i = 0; i < Shape::kStages; ++i) {
      sm90::init_barrier(full(i), Shape::kFull);
      sm90::init_barrier(empty(i), Shape::kEmpty);
    }
    for (int set = 0; set < 2; ++set) {
      sm90::init_barrier(own_full(set), 1);
      sm90::init_barrier(own_empty(set), 2);
    }
    sm90::fence_barriers();
  }
};

/// s = (64 rows at a) (128 rows at b)^T.
__device__ __forceinline__ void multiply_rows_rows(float (&s)[64], uint32_t a, uint32_t b) {
  const uint64_t left = sm90::operand(a), right = sm90::operand(b);
  sm90::multiply_async<false, false, false>(s, left, right);
#pragma unroll
  for (int k = 1; k < kSm90Head / 16; ++k)
    sm90::multiply_async<false, false>(s, left + k * (32 >> 4), right + k * (32 >> 4));
}

/// Scores [64,128] rounded to bf16, as left operands.
using Sm90Scores = uint32_t[kSm90Rows / 16][4];

__device__ __forceinline__ void round_scores(Sm90Scores& p, const float (&s)[64]) {
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    const auto pair = from_floats<bf16>(Vec<float, 2>{s[2 * i], s[2 * i + 1]});
    p[i / 4][i % 4] = *reinterpret_cast<const uint32_t*>(&pair);
  }
}

/// d += p (128 rows at b).
__device__ __forceinline__ void add_scores_rows(float (&d)[32], const Sm90Scores& p, uint32_t b) {
  const uint64_t right = sm90::operand(b);
#pragma unroll
  for (int k = 0; k < kSm90Rows / 16; ++k) sm90::multiply_async<true>(d, p[k], right + k * (16 * 128 >> 4));
}

/// Starts to copy a tile of a head to shared memory; `heads` is the number of heads in a row.
__device__ inline void copy_tile(uint32_t to, const CUtensorMap& map, Part part, int tile, int head,
                                 int heads, uint32_t barrier) {
  sm90::copy_box(to, map, (part * heads + head % heads) * kSm90Head, tile * kSm90Rows, barrier, head / heads);
}

/// Starts to write a warpgroup's 64 rows d, of which row sum_row(e) is scaled by scale(e), to memory, from
/// row `row` of a head on. `to` is the warpgroup's half of a result tile.
template <typename F>
__device__ __forceinline__ void store_rows(float (&d)[32], uint32_t to, int group, const CUtensorMap& map,
                                           Part part, int row, int head, int heads, const F& scale) {
#pragma unroll
  for (int e = 0; e < 32; e += 2) {
    const int line = sm90::sum_row(e), unit = sm90::sum_column(e) / 8;
    d[e] *= scale(e);
    d[e + 1] *= scale(e);
    sm90::store_shared(to + line * 128 + (unit ^ line % 8) * 16 + sm90::sum_column(e) % 8 * 2,
                       from_floats<bf16>(Vec<float, 2>{d[e], d[e + 1]}));
  }
  sm90::fence_for_copies();
  sm90::sync_warpgroup(1 + group);
  if (threadIdx.x % sm90::kWarpgroup == 0) {
    sm90::store_box(map, to, (part * heads + head % heads) * kSm90Head, row, head / heads, false);
    sm90::end_of_stores();
  }
}

/// Sums the 64 columns of a warpgroup's rows d and writes them to sums. `memory` has room for 4 x 64 floats.
__device__ __forceinline__ void store_column_sums(float* sums, const float (&d)[32], float* memory,
                                                  int group) {
  const int thread = static_cast<int>(threadIdx.x) % sm90::kWarpgroup;
  float v[16];
#pragma unroll
  for (int i = 0; i < 16; ++i) v[i] = d[i / 2 * 4 + i % 2] + d[i / 2 * 4 + i % 2 + 2];
  const sm90::ColumnSums total = sm90::sum_of_warp(v);
  memory[thread / 32 * kSm90Head + total.column] = total.sums[0];
  memory[thread / 32 * kSm90Head + total.column + 1] = total.sums[1];
  sm90::sync_warpgroup(1 + group);
  if (thread < kSm90Head)
    sums[thread] = add_in_order(memory[thread], memory + kSm90Head + thread, 3, kSm90Head);
}

/// Waits until the result tile may be written again.
__device__ inline void wait_for_stores(int group) {
  if (threadIdx.x % sm90::kWarpgroup == 0) sm90::wait_for_reads<0>();
  sm90::sync_warpgroup(1 + group);
}

/// Which of a thread's scores [64,128] dropout keeps: a bit for each.
struct Sm90Kept {
  uint32_t bits[2] = {};

  __device__ float factor(const DropoutMask& mask, int e) const {
    return mask.factor(bits[e / 32] >> e % 32);
  }

  /// The rows of the scores are queries: the first score is that of row `row` of the mask and of key `key`. A
  /// Philox call serves four keys, which two lanes hold, for two rows each. So each lane calls it for one of the
  /// rows, and takes the other's bits from its neighbour.
  __device__ __forceinline__ void draw_for_queries(const DropoutMask& mask, uint32_t row, int key) {
    const int odd = static_cast<int>(threadIdx.x) % 2;
    for_each_four(mask, [&](const DropoutMask& m, int e) {
      const uint32_t mine = m.kept(row + sm90::sum_row(2 * odd), (key + sm90::sum_column(e)) / 4);
      const uint32_t other = __shfl_xor(mine, 1);
      const uint32_t first = odd != 0 ? other >> 2 : mine, second = odd != 0 ? mine >> 2 : other;
      return (first & 3u) | (second & 3u) << 2;
    });
  }

  /// The rows are keys, from `key` on, and the first score is that of row `row` of the mask. Four lanes hold four
  /// neighbouring keys, for two queries and two blocks of keys each. So each lane calls Philox for one query and
  /// block.
  __device__ __forceinline__ void draw_for_keys(const DropoutMask& mask, uint32_t row, int key) {
    const int part = static_cast<int>(threadIdx.x) / 4 % 4;
    for_each_four(mask, [&](const DropoutMask& m, int e) {
      uint32_t all = m.kept(row + sm90::sum_column(e + part % 2), (key + sm90::sum_row(part / 2 * 2)) / 4)
                     << 4 * part;
      all |= __shfl_xor(all, 4);
      all |= __shfl_xor(all, 8);
      all >>= part;
      return (all & 1u) | (all >> 3 & 2u) | (all >> 6 & 4u) | (all >> 9 & 8u);
    });
  }

 private:
  /// Sets the bits of scores e to e + 3 to f(mask, e). Registers are scarce, so there is one call at a time, and
  /// the compiler must not keep the keys of all rounds of Philox.
  template <typename F>
  __device__ __forceinline__ void for_each_four(DropoutMask mask, const F& f) {
#pragma unroll
    for (int word = 0; word < 2; ++word) {
      bits[word] = 0;
#pragma unroll 1
      for (int e = 0; e < 32; e += 4) {
        asm volatile("" : "+r"(mask.key0), "+r"(mask.key1));
        bits[word] |= f(mask, word * 32 + e) << e;
      }
    }
  }
};

/// What a block does. One warp calls, for each tile of the schedule, copy_own(m, set, head, tile) and then
/// copy_other(m, stage, head, other) for the tiles that it visits, when their places are free. The other two
/// warpgroups call compute(m, group). Tile t visits tiles 0 ... t if the last is the longest, otherwise tiles
/// t and later. A thread that copies keeps kCopying registers.
template <typename Shape, int kCopying, typename CopyOwn, typename CopyOther, typename Compute>
__device__ __forceinline__ void run_block(const Sm90Schedule& schedule, const CopyOwn& copy_own,
                                          const CopyOther& copy_other, const Compute& compute) {
  HIPGPT_DYNAMIC_SHARED(unsigned char, memory);
  HIPGPT_SHARED(uint64_t, barriers, [Shape::kBarriers]);
  const Sm90AttentionMemory<Shape> m{(sm90::shared_address(memory) + 1023) / 1024 * 1024,
                                     sm90::shared_address(barriers)};
  const int group = static_cast<int>(threadIdx.x) / sm90::kWarpgroup;
  if (threadIdx.x == 0) m.init();
  __syncthreads();
  if (group == 2) {
    sm90::give_registers<kCopying>();
    if (threadIdx.x >= 2 * sm90::kWarpgroup + 32) return;
    sm90::Ring<2> own;
    sm90::Ring<Shape::kStages> ring;
    schedule.for_each([&](int head, int tile) {
      sm90::wait(m.own_empty(own.stage), own.parity ^ 1);
      copy_own(m, own.stage, head, tile);
      own.advance();
      const int end = schedule.last_is_longest ? tile + 1 : schedule.tiles;
#pragma unroll 1
      for (int other = schedule.last_is_longest ? 0 : tile; other < end; ++other) {
        sm90::wait(m.empty(ring.stage), ring.parity ^ 1);
        copy_other(m, ring.stage, head, other);
        ring.advance();
      }
    });
  } else {
    sm90::take_registers<(504 - kCopying) / 16 * 8>();
    compute(m, group);
  }
}

/// Whether this thread is the one of the copying warp that starts copies.
__device__ inline bool starts_copies() {
  return threadIdx.x % 32 == 0;
}

#endif
#endif

}  // namespace hipgpt::hip
