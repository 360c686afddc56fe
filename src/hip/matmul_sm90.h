// Products of bf16 on NVIDIA's Hopper, whose matrix cores read both operands from shared memory.
//
// Blocks stay for the whole product, one on each compute unit. One thread copies: it keeps up to kStages
// steps of 64 along k on their way. Two warpgroups take turns: while one multiplies a tile of 128 x kN, the
// other applies the epilogue to its previous tile and stores it. So the matrix cores wait only for the first
// copies and the last store.
//
// A step of 128 x 192 x 64 is 3.1 MFLOP, 768 clocks at the peak of 4096 FLOP a clock. It copies 40 KB from
// the L2 cache, 53 bytes a clock, and the products read 85 bytes a clock from shared memory, which delivers
// 128. With k = 768, a tile takes 9,216 clocks, in which the other warpgroup must store 192 sums a thread: 48
// clocks for each.
//
// Measured on an H200 by tests/bench/compare_pytorch_gpu.py, with 32,768 rows of GPT-2: 664 to 754 TFLOP/s,
// 1.03 to 1.13 times cuBLAS. In a training step, by Nsight Compute, the matrix cores work for 95 % of the time
// where k = 3072, which gives 750 TFLOP/s, because the card's power limit then lowers the clock to 1.5 GHz. FF1
// with bias, GELU and its slopes takes 287 us, 539 TFLOP/s, and dx with slopes and the sums of its columns 270 us,
// 573. What limits these two is writing: FF1 takes 225 us without its slopes and 270 with them, whatever is computed.
//
// With three stages and a third buffer, products were 4 to 9 % slower. With clusters of two blocks that share the
// copies of B, small products were 3 to 7 % slower and some gradients of weights 4 to 6 % faster. An arrival at
// the other block's barrier with .release.cluster, instead of the default, waits for all stores, and halved the
// speed. Warps that store their rows by themselves, without barriers, changed nothing. Gradients of weights took
// 1.45 times as long when other warps of the copying group added the columns of dy from shared memory.
#pragma once

#include <algorithm>
#include <type_traits>

#include "hip/column_sums.h"
#include "hip/launch.h"
#include "hip/matmul_tile.h"
#include "hip/mma/sm90.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

/// Tiles of 128 x kN. A warpgroup has kBuffers buffers for 64 columns of results on their way to memory.
template <int kN_, int kBuffers_>
struct Sm90Shape {
  static constexpr int kM = 128, kN = kN_, kStep = 64, kBuffers = kBuffers_;
  static constexpr int kBytesA = kM * kStep * 2, kBytesB = kN * kStep * 2, kStageBytes = kBytesA + kBytesB;
  static constexpr int kBufferBytes = kM * 128, kAllBuffers = 2 * kBuffers * kBufferBytes;
  static constexpr int kMostShared = 227 * 1024 - 256;  ///< of a block, less its barriers
  static constexpr int kStages = (kMostShared - 1024 - kAllBuffers) / kStageBytes;
  static constexpr int kShared = 1024 + kStages * kStageBytes + kAllBuffers;  ///< stages start at 1024 bytes
};

/// What happens to the sums of a tile besides their bias. Each is a kernel of its own.
enum class Sm90Ending : uint8_t { kPlain, kActivation, kFactor };

/// Whether the kernel of this file can compute the product. TMA copies rows that start at multiples of 16
/// bytes, and writes whole 16 bytes: up to 7 elements between the end of a row and the next may become zero.
template <typename Out>
bool fits_sm90(const Product<bf16, Out>& p) {
  const Epilogue<Out>& e = p.epilogue;
  const bool simple = e.slope == nullptr && e.factor == nullptr && e.act == Activation::kNone;
  return rows_aligned(p.lda, p.a) && rows_aligned(p.ldb, p.b) && p.aligned_c &&
         (Epilogue<Out>::kIsBf16
              ? !e.accumulate && (e.act == Activation::kNone ? e.slope : e.factor) == nullptr
              : simple);
}

/// Whether the kernel can also sum the columns of C.
template <typename Out>
bool sums_fit_sm90(const Stream& stream, const Product<bf16, Out>& p) {
  return p.epilogue.factor != nullptr &&
         static_cast<int64_t>((p.m + 127) / 128 * 4) * p.n <= stream.scratch_floats;
}

#if defined(__CUDACC__)

/// The arguments of the kernel. C is [parts, m, n].
template <typename Out>
struct Sm90Product {
  CUtensorMap a, b, c, slope, factor;
  int m, n, k, part_k;
  Epilogue<Out> epilogue;
  float* column_sums;  // [4 tiles of m, n], of the rows of each warp; may be null
};

/// The tiles of a product, for each part of k. They are numbered in groups of 8 rows of tiles, so that blocks
/// that run together share rows of A and columns of B.
template <typename Shape, typename Out>
struct Sm90Tiles {
  const Sm90Product<Out>& p;
  int down = (p.m + Shape::kM - 1) / Shape::kM, across = (p.n + Shape::kN - 1) / Shape::kN;

  __host__ __device__ int count() const { return down * across * ((p.k + p.part_k - 1) / p.part_k); }
  __device__ int part(int index) const { return index / (down * across); }
  __device__ int steps(int index) const {
    const int left = p.k - part(index) * p.part_k;
    return ((left < p.part_k ? left : p.part_k) + Shape::kStep - 1) / Shape::kStep;
  }
  /// The first row and column of a tile.
  __device__ void place(int index, int& m0, int& n0) const {
    constexpr int kRows = 8;
    const int tile = index % (down * across), group = tile / (kRows * across) * kRows;
    const int rows = down - group < kRows ? down - group : kRows, within = tile % (kRows * across);
    m0 = (group + within % rows) * Shape::kM;
    n0 = within / rows * Shape::kN;
  }
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// Addresses of a block's barriers.
template <typename Shape>
struct Sm90Barriers {
  static constexpr int kCount = 2 * Shape::kStages + 2 + 2 * Shape::kBuffers;
  uint32_t first;

  __device__ uint32_t full(int stage) const { return first + 8 * stage; }
  __device__ uint32_t empty(int stage) const { return full(Shape::kStages + stage); }
  __device__ uint32_t turn(int group) const { return full(2 * Shape::kStages + group); }
  __device__ uint32_t buffer(int group, int i) const { return turn(2 + group * Shape::kBuffers + i); }

  __device__ void init() const {
    for (int i = 0; i < kCount; ++i) sm90::init_barrier(first + 8 * i, 1);
    sm90::fence_barriers();
  }
};

/// The sums of a warpgroup, on their way to a tile of C: 64 columns (of bf16, 32 of fp32) at a time are
/// written to a buffer, which TMA copies to memory. If they are multiplied by a factor, TMA has copied it to the
/// buffers before.
template <typename Shape, typename Out, Sm90Ending kEnding>
struct Sm90Store {
  static constexpr bool kIsBf16 = Epilogue<Out>::kIsBf16;
  static constexpr int kColumns = 128 / sizeof(Out), kPieces = Shape::kN / kColumns;
  static constexpr int kSums = Shape::kN / 2;  ///< of a thread, in each half of 64 rows
  using Sums = float[2][kSums];

  const Sm90Product<Out>& p;
  const Sm90Barriers<Shape>& barriers;
  uint32_t buffers;  // in shared memory
  int group;
  int next = 0;      // the buffer of the next piece
  int parities = 0;  // of the buffers' barriers

  __device__ static int thread() { return static_cast<int>(threadIdx.x) % sm90::kWarpgroup; }
  __device__ uint32_t buffer(int i) const { return buffers + i * Shape::kBufferBytes; }

  /// Starts to copy the factors of a piece. One thread calls this.
  __device__ void load_factors(int piece, int m0, int n0) const {
    const int i = piece % Shape::kBuffers;
    sm90::arrive_and_expect(barriers.buffer(group, i), Shape::kBufferBytes);
    sm90::copy_box(buffer(i), p.factor, n0 + piece * kColumns, m0, barriers.buffer(group, i));
  }

  /// Sets the sums to the bias, or to zero. Copies of factors start before the products.
  __device__ __forceinline__ void begin(Sums& d, int m0, int n0) const {
    if (kEnding == Sm90Ending::kFactor && thread() == 0) {
      sm90::wait_for_reads<0>();
      for (int i = 0; i < kPieces && i < Shape::kBuffers; ++i) load_factors(i, m0, n0);
    }
    const float* bias = p.epilogue.bias;
#pragma unroll
    for (int i = 0; i < kSums; i += 4) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int column = n0 + i * 2 + static_cast<int>(threadIdx.x) % 4 * 2 + e;
        d[0][i + e] = bias != nullptr && column < p.n ? bias[column] : 0.0f;
      }
    }
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      d[0][i] = d[0][i / 4 * 4 + i % 2];
      d[1][i] = d[0][i];
    }
  }

  /// Waits until the next kCount buffers have left for memory, and returns the first.
  template <int kCount = 1>
  __device__ __forceinline__ uint32_t free_buffers() const {
    if (thread() == 0) sm90::wait_for_reads<Shape::kBuffers - kCount>();
    sm90::sync_warpgroup(1 + group);
    return buffer(next);
  }

  /// Starts to copy the next buffer, which holds a piece, to memory.
  __device__ __forceinline__ void store_buffer(const CUtensorMap& map, int m0, int column, int part) {
    sm90::fence_for_copies();
    sm90::sync_warpgroup(1 + group);
    if (thread() == 0) {
      sm90::store_box(map, buffer(next), column, m0, part, p.epilogue.accumulate);
      sm90::end_of_stores();
    }
    next = next + 1 == Shape::kBuffers ? 0 : next + 1;
  }

  /// Calls f(sums, offset, i) for columns 16 i ... of a piece of bf16: eight sums of the thread, in four matrices of
  /// 8 x 8 of its warp, and the offset in a buffer of the 16 bytes that the thread addresses.
  template <typename F>
  static __device__ __forceinline__ void for_each_16(Sums& d, int piece, const F& f) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int line = (thread() / 32 * 16 + lane % 16) * 128, unit = (lane / 16 ^ lane % 8) * 16;
#pragma unroll
    for (int i = 0; i < kColumns / 16; ++i) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        Vec<float, 8> sums;
#pragma unroll
        for (int e = 0; e < 8; ++e) sums[e] = d[half][piece * 32 + 8 * i + e];
        f(sums, half * 64 * 128 + line + (unit ^ i * 32), i);
      }
    }
  }

  /// Writes f(sums, offset, i) for a piece of bf16 to the next buffer.
  template <typename F>
  __device__ __forceinline__ void write_piece(Sums& d, int piece, const F& f) const {
    const uint32_t to = buffer(next);
    for_each_16(d, piece, [&](const Vec<float, 8>& sums, int offset, int i) {
      sm90::store_matrices(to + offset, from_floats<bf16>(f(sums, offset, i)));
    });
  }

  /// Writes a piece of fp32 to a buffer.
  __device__ __forceinline__ void write_floats(const Sums& d, int piece, uint32_t to) const {
    const int lane = static_cast<int>(threadIdx.x) % 32, line = thread() / 32 * 16 + lane / 4;
#pragma unroll
    for (int i = 0; i < 16; i += 2) {
      const int offset = line * 128 + ((i / 4 * 2 + lane % 4 / 2) ^ line % 8) * 16 + lane % 2 * 8;
#pragma unroll
      for (int half = 0; half < 2; ++half)
        sm90::store_shared(to + offset + (half * 64 + i / 2 % 2 * 8) * 128,
                           Vec<float, 2>{d[half][piece * 16 + i], d[half][piece * 16 + i + 1]});
    }
  }

  __device__ __forceinline__ void run(Sums& d, int m0, int n0, int part) {
    if (kEnding == Sm90Ending::kFactor) next = 0;
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      const int column = n0 + piece * kColumns;
      if constexpr (!kIsBf16) {
        write_floats(d, piece, free_buffers());
      } else if constexpr (kEnding == Sm90Ending::kPlain) {
        free_buffers();
        write_piece(d, piece, [](const Vec<float, 8>& sums, int, int) { return sums; });
      } else if constexpr (kEnding == Sm90Ending::kActivation) {
        if (p.epilogue.slope != nullptr) {
          activate_with_slopes(d, piece);
          store_buffer(p.slope, m0, column, part);
        } else {
          free_buffers();
          with_activation(p.epilogue.act, [&](auto act) {
            write_piece(d, piece, [&](const Vec<float, 8>& sums, int, int) {
              return Epilogue<Out>::activated(act.value, sums);
            });
          });
        }
      } else {
        multiply_by_factors(d, piece, m0, n0);
      }
      store_buffer(p.c, m0, column, part);
    }
  }

  /// Writes the slopes of a piece to the next buffer and its activations to the one after it, so that both have their
  /// exponentials in common.
  __device__ __forceinline__ void activate_with_slopes(Sums& d, int piece) const {
    static_assert(Shape::kBuffers == 2);
    const uint32_t to_slopes = free_buffers<2>(), to = buffer(1 - next);
    with_activation(p.epilogue.act, [&](auto act) {
      for_each_16(d, piece, [&](const Vec<float, 8>& sums, int offset, int) {
        sm90::store_matrices(to_slopes + offset, from_floats<bf16>(Epilogue<Out>::slopes(act.value, sums)));
        sm90::store_matrices(to + offset, from_floats<bf16>(Epilogue<Out>::activated(act.value, sums)));
      });
    });
  }

  /// Multiplies a piece by the factors that its buffer holds, in place, and sums its columns.
  __device__ __forceinline__ void multiply_by_factors(Sums& d, int piece, int m0, int n0) {
    sm90::wait(barriers.buffer(group, next), parities >> next & 1);
    parities ^= 1 << next;
    const uint32_t from = buffer(next);
    float of_columns[16] = {};
    write_piece(d, piece, [&](const Vec<float, 8>& sums, int offset, int i) {
      const Vec<float, 8> results = sums * to_floats(sm90::load_matrices(from + offset));
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int first = e / 2 * 4 + e % 2;  // in the upper row of two
        of_columns[4 * i + e] += results[first] + results[first + 2];
      }
      return results;
    });
    // Meanwhile the previous piece has left its buffer.
    const int load = piece - 1 + Shape::kBuffers;
    if (piece > 0 && load < kPieces && thread() == 0) {
      sm90::wait_for_reads<0>();
      load_factors(load, m0, n0);
    }
    if (p.column_sums == nullptr) return;
    const sm90::ColumnSums total = sm90::sum_of_warp(of_columns);
    const int column = n0 + piece * kColumns + total.column;
    float* to = p.column_sums + static_cast<int64_t>(m0 / 32 + thread() / 32) * p.n + column;
    if (column < p.n) to[0] = total.sums[0];
    if (column + 1 < p.n) to[1] = total.sums[1];
  }
};

/// The work of the thread that copies.
template <typename Shape, bool kTransA, bool kTransB, typename Out>
__device__ __forceinline__ void load_tiles(const Sm90Product<Out>& p, const Sm90Barriers<Shape>& barriers,
                                           uint32_t stages) {
  using namespace sm90;
  const Sm90Tiles<Shape, Out> tiles{p};
  sm90::Ring<Shape::kStages> ring;
  prefetch_map(p.a);
  prefetch_map(p.b);
  for (int index = blockIdx.x; index < tiles.count(); index += gridDim.x) {
    int m0, n0, k = tiles.part(index) * p.part_k;
    tiles.place(index, m0, n0);
#pragma unroll 1
    for (int steps = tiles.steps(index); steps > 0; --steps, k += Shape::kStep) {
      const uint32_t a = stages + ring.stage * Shape::kStageBytes, b = a + Shape::kBytesA,
                     full = barriers.full(ring.stage);
      wait(barriers.empty(ring.stage), ring.parity ^ 1);
      arrive_and_expect(full, Shape::kStageBytes);
      if constexpr (kTransA) {
        for (int m = 0; m < Shape::kM; m += 64) copy_box(a + m * 128, p.a, m0 + m, k, full);
      } else {
        copy_box(a, p.a, k, m0, full);
      }
      if constexpr (kTransB) {
        copy_box(b, p.b, k, n0, full);
      } else {
        for (int n = 0; n < Shape::kN; n += 64) copy_box(b + n * 128, p.b, n0 + n, k, full);
      }
      ring.advance();
    }
  }
}

/// The work of a warpgroup that multiplies: every second tile of the block.
template <typename Shape, bool kTransA, bool kTransB, Sm90Ending kEnding, typename Out>
__device__ __forceinline__ void multiply_tiles(const Sm90Product<Out>& p, const Sm90Barriers<Shape>& barriers,
                                               uint32_t stages, int group) {
  using namespace sm90;
  // Bytes from one 16 of k to the next, in a line or 16 lines on; and from 64 rows to the next.
  constexpr uint64_t kNextA = (kTransA ? 16 * 128 : 32) >> 4, kNextB = (kTransB ? 32 : 16 * 128) >> 4;
  constexpr uint64_t kNextHalf = 64 * 128 >> 4;
  const Sm90Tiles<Shape, Out> tiles{p};
  const int count = tiles.count(), next = static_cast<int>(gridDim.x);
  const bool first_thread = threadIdx.x % kWarpgroup == 0;
  Sm90Store<Shape, Out, kEnding> store{
      p, barriers,
      stages + Shape::kStages * Shape::kStageBytes + group * Shape::kBuffers * Shape::kBufferBytes, group};
  sm90::Ring<Shape::kStages> ring;
  int turn = 1 - group;  // the first group does not wait for its first turn
  const auto skip_tile = [&](int& index) {
    if (index < count) ring.skip(tiles.steps(index));
    index += next;
  };
  int index = blockIdx.x;
  if (group == 1) skip_tile(index);
  while (index < count) {
    float d[2][Shape::kN / 2];
    const int steps = tiles.steps(index);
    int m0, n0, previous = 0;
    tiles.place(index, m0, n0);
    store.begin(d, m0, n0);
    wait(barriers.turn(group), turn);
    turn ^= 1;
    settle(d[0]);  // otherwise ptxas may take the products one at a time
    settle(d[1]);
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
      wait(barriers.full(ring.stage), ring.parity);
      const uint32_t address = stages + ring.stage * Shape::kStageBytes;
      const uint64_t a = operand(address), b = operand(address + Shape::kBytesA);
      begin_products();
#pragma unroll
      for (int k = 0; k < Shape::kStep / 16; ++k) {
        multiply_async<kTransA, !kTransB>(d[0], a + k * kNextA, b + k * kNextB);
        multiply_async<kTransA, !kTransB>(d[1], a + k * kNextA + kNextHalf, b + k * kNextB);
      }
      end_of_products();
      // The parity of a barrier tells its phase only if the other group has read all stages before.
      if (step + 1 == steps && first_thread) arrive(barriers.turn(1 - group));
      if (step > 0) {
        wait_for_products<1>();
        if (first_thread) arrive(barriers.empty(previous));
      }
      previous = ring.stage;
      ring.advance();
    }
    wait_for_products<0>();
    if (first_thread) arrive(barriers.empty(previous));
    store.run(d, m0, n0, tiles.part(index));
    index += next;
    skip_tile(index);
  }
  if (first_thread) wait_for_reads<0>();
}

#endif

template <typename Shape, bool kTransA, bool kTransB, Sm90Ending kEnding, typename Out>
__global__ void __launch_bounds__(3 * sm90::kWarpgroup, 1)
    matmul_sm90_kernel(const __grid_constant__ Sm90Product<Out> p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  HIPGPT_DYNAMIC_SHARED(unsigned char, memory);
  HIPGPT_SHARED(uint64_t, words, [Sm90Barriers<Shape>::kCount]);
  const uint32_t stages = (sm90::shared_address(memory) + 1023) / 1024 * 1024;
  const Sm90Barriers<Shape> barriers{sm90::shared_address(words)};
  const int group = static_cast<int>(threadIdx.x) / sm90::kWarpgroup;
  if (threadIdx.x == 0) barriers.init();
  __syncthreads();
  if (group == 2) {
    sm90::give_registers<24>();
    if (threadIdx.x == 2 * sm90::kWarpgroup) load_tiles<Shape, kTransA, kTransB>(p, barriers, stages);
  } else {
    sm90::take_registers<240>();
    multiply_tiles<Shape, kTransA, kTransB, kEnding>(p, barriers, stages, group);
  }
#endif
}

template <typename Shape, bool kTransA, bool kTransB, typename Out>
void launch_sm90(const Stream& stream, const Product<bf16, Out>& p) {
  Sm90Product<Out> q = {};
  q.m = p.m;
  q.n = p.n;
  q.k = p.k;
  q.part_k = p.part_k;
  q.epilogue = p.epilogue;
  q.a = kTransA ? sm90::tensor_map(p.a, p.k, p.m, p.lda, 64)
                : sm90::tensor_map(p.a, p.m, p.k, p.lda, Shape::kM);
  q.b = kTransB ? sm90::tensor_map(p.b, p.n, p.k, p.ldb, Shape::kN)
                : sm90::tensor_map(p.b, p.k, p.n, p.ldb, 64);
  const auto map_of = [&](const Out* c) { return sm90::tensor_map(c, p.m, p.n, p.ldc, Shape::kM); };
  if (p.parts == nullptr) {
    q.c = map_of(p.c);
  } else if constexpr (std::is_same_v<Out, float>) {
    const int parts = (p.k + p.part_k - 1) / p.part_k;
    q.c = sm90::tensor_map(p.parts, p.m, p.n, p.part_pitch(), Shape::kM, parts);
  } else {  // parts are fp32
    Product<bf16, float> part = {nullptr, p.a, p.b, p.lda, p.ldb, p.ldc, p.m, p.n, p.k, p.part_k, true};
    part.parts = p.parts;
    return launch_sm90<Shape, kTransA, kTransB>(stream, part);
  }
  if (p.epilogue.slope != nullptr) q.slope = map_of(p.epilogue.slope);
  if (p.epilogue.factor != nullptr) q.factor = map_of(p.epilogue.factor);
  if (p.column_sums != nullptr) q.column_sums = stream.scratch;
  const int blocks = std::min(Sm90Tiles<Shape, Out>{q}.count(), stream.compute_units);
  auto kernel = matmul_sm90_kernel<Shape, kTransA, kTransB, Sm90Ending::kPlain, Out>;
  if constexpr (std::is_same_v<Out, bf16>) {
    if (q.epilogue.factor != nullptr) {
      kernel = matmul_sm90_kernel<Shape, kTransA, kTransB, Sm90Ending::kFactor, Out>;
    } else if (q.epilogue.act != Activation::kNone) {
      kernel = matmul_sm90_kernel<Shape, kTransA, kTransB, Sm90Ending::kActivation, Out>;
    }
  }
  launch_with_shared(kernel, dim3(blocks), dim3(3 * sm90::kWarpgroup), Shape::kShared, stream.handle, q);
  if (p.column_sums != nullptr)
    add_partial_sums(stream, {{p.column_sums}, p.n}, stream.scratch, (p.m + Shape::kM - 1) / Shape::kM * 4);
}

#else

template <typename Shape, bool kTransA, bool kTransB, typename Out>
void launch_sm90(const Stream&, const Product<bf16, Out>&) {}

#endif

}  // namespace hipgpt::hip
