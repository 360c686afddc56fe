// One tile of C = op(A) op(B) with bf16 operands: how a block of threads computes kM x kN elements.
//
// The block walks along k in steps of 64, which are lines of 128 bytes in every operand tile, whatever its
// order in memory. Where the GPU can copy from memory to shared memory without registers (cp.async), two
// steps are on their way while one is computed. Elsewhere, the next step is loaded into registers. AMD's
// atoms read neighbours along k, so a tile whose lines in memory are not along k is transposed in these
// registers. Its 64 KB of shared memory hold a single step of each of two blocks.
//
// At 128 x 128, shared memory delivers 16 KB to each of four waves per step while 32 KB arrive, and a wave
// multiplies 64 x 64 x 64. RDNA has eight waves of 32 lanes, which receive 12 KB each and multiply
// 64 x 32 x 64.
#pragma once

#include "hip/matmul_tile.h"

namespace hipgpt::hip {

/// 64 elements along k of kWidth columns (of B) or rows (of A). If kAlongK, a line holds 64 elements along k;
/// otherwise it holds 64 of the width, and there are kWidth / 64 blocks of 64 lines. A unit is eight
/// neighbours, 16 bytes. The units of a line are permuted, so that eight lanes use all banks if they read the
/// same unit of eight lines, write eight units of one line or, except on NVIDIA, write the same unit of every
/// eighth line.
template <int kWidth_, bool kAlongK_>
struct OperandTile {
  static constexpr bool kAlongK = kAlongK_;
  static constexpr int kWidth = kWidth_, kRows = 64;  ///< kRows: along k
  static constexpr int kUnits = kWidth * kRows / 8;   ///< also the size in vec4
  static_assert(kWidth % 64 == 0);

  vec4* memory;

  /// The place of unit `unit` of line `line`; lines of all blocks are counted.
  static __device__ int place(int line, int unit) { return line * 8 + (unit ^ permutation(line)); }
  static __device__ int permutation(int line) {
#if defined(__CUDACC__)
    return line & 7;
#else
    return (line ^ line >> 2 ^ (line >> 5 & 1)) & 7;  // the same in each block of 64 lines
#endif
  }

  /// The unit that holds element (k, column).
  __device__ vec4* unit(int k, int column) const {
    return memory + (kAlongK ? place(column, k / 8) : place(column / 64 * 64 + k, column % 64 / 8));
  }

  /// The same for (k + lane_k, column + lane_column), if kAlongK and no sum carries. In loops that are
  /// unrolled, k and column are constants. Then all tiles need only eight addresses, since a permutation of a
  /// sum without carries is the exclusive or of two.
  __device__ vec4* unit(int k, int lane_k, int column, int lane_column) const {
    static_assert(kAlongK);
    const int lane_unit = lane_k / 8 ^ permutation(lane_column);
    return memory + column * 8 + (lane_column * 8 + (lane_unit ^ (k / 8 ^ permutation(column))));
  }

  /// The bits of element (k, column).
  __device__ uint32_t element(int k, int column) const {
    return reinterpret_cast<const bf16*>(unit(k, column))[(kAlongK ? k : column) % 8].bits;
  }

  /// kCount neighbours along the width.
  template <int kCount>
  __device__ Vec<float, kCount> piece(int k, int column) const {
    Vec<float, kCount> values;
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] = __uint_as_float(element(k, column + i) << 16);
    return values;
  }
};

/// Elements i of two units, as a pair.
__device__ inline uint32_t pair_of(const Vec<uint32_t, 4>& first, const Vec<uint32_t, 4>& second, int i) {
  const uint32_t low = first[i / 2], high = second[i / 2];
  return i % 2 == 0 ? lower_halves(low, high) : upper_halves(low, high);
}

/// One operand in memory. Its rows are along k or along the width, `stride` elements apart. Elements from
/// `width` or `k_end` on count as zero.
struct Operand {
  const bf16* data;
  int stride, width, k_end;
};

/// Loads tiles through registers, which serves every GPU and unaligned matrices.
template <typename T, int kThreads, bool kAligned>
struct RegisterLoader {
  static constexpr int kCount = T::kUnits / kThreads;
  static_assert(T::kUnits % kThreads == 0);
  Vec<bf16, 8> units[kCount];

  __device__ void load(const Operand& source, int k0, int column0) {
    const Rows<const bf16> rows =
        T::kAlongK ? Rows<const bf16>{source.data, source.stride, source.width, source.k_end, false}
                   : Rows<const bf16>{source.data, source.stride, source.k_end, source.width, false};
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int line = (threadIdx.x + i * kThreads) / 8, first = threadIdx.x % 8 * 8;
      const int row = T::kAlongK ? column0 + line : k0 + line % 64;
      const int column = T::kAlongK ? k0 + first : column0 + line / 64 * 64 + first;
      // The last unit of a row may be shorter.
      const bool whole = kAligned && row < rows.rows && column + 8 <= rows.width;
      units[i] = whole ? load_whole(rows.at(row, column)) : rows.load(row, column);
    }
  }

  __device__ void store(const T& tile) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int line = (threadIdx.x + i * kThreads) / 8;
      *reinterpret_cast<Vec<bf16, 8>*>(tile.memory + T::place(line, threadIdx.x % 8)) = units[i];
    }
  }
};

/// Loads tiles A and B through registers and stores both along k. Half of the threads load A, the others B,
/// each eight units. If the lines of an operand in memory are not along k, these are a square of 8 x 8
/// elements, which the thread transposes. Then eight lanes write the same unit of every eighth line.
///
/// The compiler computes addresses before the loop over k and keeps them in registers. On RDNA, 64-bit
/// addresses of A and of B would take more registers than there are. So a thread has 32-bit offsets, and if A
/// and B have the same order, the same code loads both. Then eight waves share a SIMD, as many as shared
/// memory allows.
template <int kWidth, bool kAlongKA, bool kAlongKB, bool kAligned>
struct PackedLoader {
  using T = OperandTile<kWidth, true>;
  Vec<uint32_t, 4> units[8];

  __device__ void load(const Operand& a, const Operand& b, int k0, int m0, int n0) {
    if constexpr (kOneOrder) {
      load<kAlongKA>(loads_a() ? a : b, k0, loads_a() ? m0 : n0, thread() % kWidth);
    } else if (loads_a()) {
      load<kAlongKA>(a, k0, m0, thread());
    } else {
      load<kAlongKB>(b, k0, n0, thread() - kWidth);
    }
  }
  __device__ void store(const T& tile_a, const T& tile_b) const {
    if constexpr (kOneOrder) {
      store<kAlongKA>(T{tile_a.memory + (loads_a() ? 0 : tile_b.memory - tile_a.memory)}, thread() % kWidth);
    } else if (loads_a()) {
      store<kAlongKA>(tile_a, thread());
    } else {
      store<kAlongKB>(tile_b, thread() - kWidth);
    }
  }

 private:
  static constexpr int kAcross = kWidth / 8;  ///< units across the width
  static constexpr bool kOneOrder = kForRdna && kAlongKA == kAlongKB;
  const bool in_first_half_ = same_in_wave(thread()) < kWidth;

  static __device__ int thread() { return static_cast<int>(threadIdx.x); }
  __device__ bool loads_a() const { return kForRdna ? in_first_half_ : thread() < kWidth; }

  template <bool kAlongK>
  __device__ void load(const Operand& source, int k0, int column0, int thread) {
    const int end = source.k_end - k0, width = source.width - column0;  // what exists, from the tile's first
    if constexpr (!kAligned) {
      const Rows<const bf16> rows =
          kAlongK ? Rows<const bf16>{source.data, source.stride, source.width, source.k_end, false}
                  : Rows<const bf16>{source.data, source.stride, source.k_end, source.width, false};
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const auto unit = kAlongK ? rows.load(column0 + thread / 8 + i * kAcross, k0 + thread % 8 * 8)
                                  : rows.load(k0 + thread / kAcross * 8 + i, column0 + thread % kAcross * 8);
        units[i] = __builtin_bit_cast(Vec<uint32_t, 4>, unit);
      }
      return;
    }
    // Where rows or columns of C end, the last ones are loaded again; their sums are not stored.
    const int64_t stride = source.stride;
    const bf16* const base = source.data + (kAlongK ? column0 * stride + k0 : k0 * stride + column0);
    const auto load_units = [&](int last) {  // `last`: the last k that exists in the step
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const int row =
            kAlongK ? min(thread / 8 + i * kAcross, width - 1) : min(thread / kAcross * 8 + i, last);
        const int column =
            kAlongK ? min(thread % 8 * 8, last / 8 * 8) : min(thread % kAcross * 8, (width - 1) / 8 * 8);
        if constexpr (kForRdna) {
          const uint32_t element = static_cast<uint32_t>(row) * static_cast<uint32_t>(stride) + column;
          const auto* const from = reinterpret_cast<const char*>(base) + element * uint32_t{sizeof(bf16)};
          units[i] = *reinterpret_cast<const Vec<uint32_t, 4>*>(from);
        } else {
          units[i] = *reinterpret_cast<const Vec<uint32_t, 4>*>(base + row * stride + column);
        }
      }
    };
    if (end >= T::kRows) return load_units(T::kRows - 1);
    // The addresses of the last step differ, and must not take registers in the steps before it.
    thread = static_cast<int>(opaque(static_cast<uint32_t>(thread)));
    load_units(end - 1);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int pair = 0; pair < 4; ++pair) {
        const int k = kAlongK ? thread % 8 * 8 + 2 * pair : thread / kAcross * 8 + i;
        if (k >= end) units[i][pair] = 0;
        if (kAlongK && k + 1 == end) units[i][pair] &= 0xffffu;
      }
    }
  }

  template <bool kAlongK>
  __device__ void store(const T& tile, int thread) const {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int line = kAlongK ? i * kAcross : i, lane_line = kAlongK ? thread / 8 : thread % kAcross * 8;
      const int unit = (kAlongK ? thread % 8 : thread / kAcross) * 8;
      auto* to = reinterpret_cast<Vec<uint32_t, 4>*>(tile.unit(0, unit, line, lane_line));
      if constexpr (kAlongK) {
        *to = units[i];
      } else {
#pragma unroll
        for (int pair = 0; pair < 4; ++pair) (*to)[pair] = pair_of(units[2 * pair], units[2 * pair + 1], i);
      }
    }
  }
};

#if defined(__CUDACC__)
constexpr bool kMayCopyAsync = true;
#else
constexpr bool kMayCopyAsync = false;
#endif

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
constexpr bool kAsyncCopies = true;

/// Starts a copy of `bytes` bytes to shared memory, and fills the rest of the 16 with zeros.
__device__ inline void copy_async(uint32_t to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes));
}
__device__ inline void end_of_copies() {
  asm volatile("cp.async.commit_group;");
}
/// Waits until at most kGroups groups of copies are on their way.
template <int kGroups>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

/// Starts copies of one step after another. A thread's addresses advance by additions, which take
/// fewer instructions than computing them for each copy.
template <typename T, int kThreads>
struct AsyncLoader {
  static constexpr int kCount = T::kUnits / kThreads, kLines = kThreads / 8;  // lines per round of copies
  static_assert(T::kUnits % kThreads == 0 && kThreads % 64 == 0 && kThreads <= 512);

  __device__ AsyncLoader(const Operand& source, int k0, int column0)
      : base_(source.data), stride_(source.stride), k_end_(source.k_end) {
    const int line = threadIdx.x / 8, first = threadIdx.x % 8 * 8;
    offset_ = T::place(line, threadIdx.x % 8) * kVecBytes;
    k_ = k0 + (T::kAlongK ? first : line);
    const int column = column0 + (T::kAlongK ? line : first);
    left_ = source.width - column;
    next_ = base_ + (T::kAlongK ? static_cast<int64_t>(column) * stride_ + k_
                                : static_cast<int64_t>(k_) * stride_ + column);
  }

  /// Starts the copies of the next step to the tile at `shared`.
  __device__ void load(uint32_t shared) {
    const bf16* from = next_;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int lines = i * kLines, block = lines / 64;
      // The elements from here to the end of the row, of which the last unit may be shorter than eight.
      const int exist = T::kAlongK ? (lines < left_ ? k_end_ - k_ : 0)
                                   : (k_ + lines % 64 < k_end_ ? left_ - block * 64 : 0);
      if (!T::kAlongK && lines % 64 == 0) from = next_ + block * 64;
      copy_async(shared + offset_ + lines * 8 * kVecBytes, exist > 0 ? from : base_,
                 exist >= 8  ? kVecBytes
                 : exist > 0 ? 2 * exist
                             : 0);
      from += static_cast<int64_t>(kLines) * stride_;
    }
    next_ += T::kAlongK ? 64 : static_cast<int64_t>(64) * stride_;
    k_ += 64;
  }

 private:
  const bf16 *base_, *next_;
  int64_t stride_;
  int k_, k_end_, left_;
  uint32_t offset_;
};
#else
constexpr bool kAsyncCopies = false;
#endif

/// A block computes kM x kN elements with kThreads threads, each wave 64 x (a part of kN).
template <int kM_, int kN_, int kThreads_, typename Atom_>
struct Bf16Shape {
  using Atom = typename AtomOf<Atom_>::Type;
  static constexpr int kM = kM_, kN = kN_, kThreads = kThreads_, kStep = 64;
  static constexpr int kTM = kThreads / 16, kTN = kM * kN / kThreads / kTM;  // for PlainAccumulator
  static constexpr int kStages = 3;                                          // of asynchronous copies
  static constexpr int kRegisterStages = kForAmd || Atom::kPacked ? 1 : 2;
  static constexpr int kStepUnits = (kM + kN) * 8;
  static_assert(kTN % 4 == 0);
};

template <typename Shape, bool kTransA, bool kTransB, bool kAligned>
struct Bf16ProductTile {
  using Sums = Accumulator<Shape>;
  static constexpr bool kPacked = Shape::Atom::kPacked;
  using TileA = OperandTile<Shape::kM, kPacked || !kTransA>;
  using TileB = OperandTile<Shape::kN, kPacked || kTransB>;
  using Store = SumsStore<Shape, Sums>;
  /// Bytes of shared memory for the launch. Only the device knows whether it has asynchronous copies, so the
  /// host allows for them where some GPU of the platform has them.
  static constexpr int kBytes =
      (kMayCopyAsync && kAligned ? Shape::kStages : Shape::kRegisterStages) * Shape::kStepUnits * kVecBytes;
  static_assert(Store::Stage::kSize * static_cast<int>(sizeof(vec4)) <= kBytes);

  template <typename Out>
  static __device__ __forceinline__ void run(const Product<bf16, Out>& p, vec4* memory) {
    // Blocks that run together share rows of A and columns of B: tiles are numbered in groups of 8 rows.
    constexpr int kGroup = 8;
    const int down = (p.m + Shape::kM - 1) / Shape::kM, across = (p.n + Shape::kN - 1) / Shape::kN;
    const int tile = static_cast<int>(blockIdx.x), group = tile / (kGroup * across) * kGroup;
    const int rows = down - group < kGroup ? down - group : kGroup;
    const int m0 = (group + tile % (kGroup * across) % rows) * Shape::kM;
    const int n0 = tile % (kGroup * across) / rows * Shape::kN;
    const int k_begin = static_cast<int>(blockIdx.y) * p.part_k;
    const int k_end = k_begin + p.part_k < p.k ? k_begin + p.part_k : p.k;
    const Operand a{p.a, p.lda, p.m, k_end}, b{p.b, p.ldb, p.n, k_end};
    Sums sums;
    multiply(sums, a, b, memory, m0, n0, k_begin, k_end);
    Store::run(sums, p, memory, m0, n0);
  }

 private:
  static __device__ __forceinline__ void multiply(Sums& sums, const Operand& a, const Operand& b,
                                                  vec4* memory, int m0, int n0, int k_begin, int k_end) {
    const auto tile_a = [memory](int stage) { return TileA{memory + stage * Shape::kStepUnits}; };
    const auto tile_b = [memory](int stage) {
      return TileB{memory + stage * Shape::kStepUnits + TileA::kUnits};
    };
    const int steps = (k_end - k_begin + Shape::kStep - 1) / Shape::kStep;
    if constexpr (kAsyncCopies && kAligned) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
      constexpr int kAhead = Shape::kStages - 1;
      AsyncLoader<TileA, Shape::kThreads> load_a(a, k_begin, m0);
      AsyncLoader<TileB, Shape::kThreads> load_b(b, k_begin, n0);
      const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(memory));
      int filled = 0, used = 0;  // the stages
      const auto load = [&](int step) {
        if (step < steps) {
          const uint32_t to = shared + filled * Shape::kStepUnits * kVecBytes;
          load_a.load(to);
          load_b.load(to + TileA::kUnits * kVecBytes);
          filled = filled + 1 == Shape::kStages ? 0 : filled + 1;
        }
        end_of_copies();
      };
      for (int step = 0; step < kAhead; ++step) load(step);
      for (int step = 0; step < steps; ++step) {
        wait_for_copies<kAhead - 1>();
        __syncthreads();  // all copies of this step are there, and the stage to fill has been read
        load(step + kAhead);
        sums.multiply(tile_a(used), tile_b(used));
        used = used + 1 == Shape::kStages ? 0 : used + 1;
      }
      wait_for_copies<0>();
#endif
    } else if constexpr (kPacked) {
      static_assert(Shape::kM == Shape::kN && Shape::kThreads == 2 * Shape::kM);
      PackedLoader<Shape::kM, !kTransA, kTransB, kAligned> loader;
      loader.load(a, b, k_begin, m0, n0);
      for (int k = k_begin; k < k_end; k += Shape::kStep) {
        if (k > k_begin) __syncthreads();  // the tiles have been read
        loader.store(tile_a(0), tile_b(0));
        __syncthreads();
        if (k + Shape::kStep < k_end) loader.load(a, b, k + Shape::kStep, m0, n0);
        sums.multiply(tile_a(0), tile_b(0));
      }
    } else {
      constexpr int kStages = Shape::kRegisterStages;
      RegisterLoader<TileA, Shape::kThreads, kAligned> load_a;
      RegisterLoader<TileB, Shape::kThreads, kAligned> load_b;
      load_a.load(a, k_begin, m0);
      load_b.load(b, k_begin, n0);
      for (int step = 0; step < steps; ++step) {
        if (kStages == 1 && step > 0) __syncthreads();  // the tiles have been read
        load_a.store(tile_a(step % kStages));
        load_b.store(tile_b(step % kStages));
        __syncthreads();
        if (step + 1 < steps) {
          load_a.load(a, k_begin + (step + 1) * Shape::kStep, m0);
          load_b.load(b, k_begin + (step + 1) * Shape::kStep, n0);
        }
        sums.multiply(tile_a(step % kStages), tile_b(step % kStages));
      }
    }
  }
};

}  // namespace hipgpt::hip
