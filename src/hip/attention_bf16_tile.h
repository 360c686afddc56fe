// What the bf16 attention kernels share: rows of a head in shared memory, and products of a wave's rows.
//
// A wave computes kRows rows of scores, 16 to an atom, and keeps them in registers. Rounded to bf16, they are
// the left operand of the next product without passing through shared memory.
#pragma once

#include "hip/accumulator.h"
#include "hip/attention_tile.h"
#include "hip/dropout_mask.h"
#include "hip/fast_math.h"
#include "hip/matmul_bf16_tile.h"

namespace hipgpt::hip {

/// Threads of a block: four waves, each with rows of its own; on RDNA eight.
constexpr int kAttentionThreads = kForAmd ? 256 : 128;
constexpr int kTileRows = 64;  ///< rows of a tile that the block walks along

/// The rows that a block owns, queries or keys, as many as registers allow.
template <int kHead>
constexpr int kBlockRows = kForAmd || kHead <= 64 ? 128 : 64;

/// Tiles in shared memory that a block walks along: one is read while the next arrives. AMD's next tile
/// arrives in registers, so that a block takes less of the 64 KB.
constexpr int kTileStages = kForAmd ? 1 : 2;
constexpr int kOtherStage = kTileStages - 1;  ///< the other stage is stage ^ kOtherStage

/// Eight neighbours in aligned rows, without branches: zeros for columns outside; for rows outside, the last.
/// Their scores are masked, or belong to rows that are not stored.
__device__ inline Vec<uint32_t, 4> load_unit(const Rows<const bf16>& source, int row, int column) {
  const auto unit = load_whole(source.at(min(row, source.rows - 1), min(column, source.width - 8)));
  const uint32_t mask = column < source.width ? 0xffffffffu : 0u;
  return map(__builtin_bit_cast(Vec<uint32_t, 4>, unit), [mask](uint32_t x) { return x & mask; });
}

/// kRows rows of a head of up to kHead columns, as blocks of 64 columns. A block holds a line of 128 bytes
/// for each row, permuted as in OperandTile.
template <int kRows, int kHead>
struct HeadTile {
  static constexpr int kBlocks = (kHead + 63) / 64;
  static constexpr int kUnits = kRows * 8 * kBlocks;  ///< also the size in vec4
  vec4* memory;

  /// An operand whose k are 64 columns of the head.
  __device__ OperandTile<kRows, true> along_columns(int block) const { return {memory + block * kRows * 8}; }

  /// An operand whose k are the rows.
  __device__ OperandTile<64 * kBlocks, false> along_rows() const {
    static_assert(kRows == 64);
    return {memory};
  }

  /// The eight elements of a row that start at `column`, a multiple of 8.
  __device__ Vec<bf16, 8>& unit(int row, int column) const {
    return *reinterpret_cast<Vec<bf16, 8>*>(along_columns(column / 64).unit(column % 64, row));
  }

  /// Starts to load rows first ... of `source`. Rows and columns outside become zero. wait_for_tiles() and a
  /// barrier end the load.
  template <int kThreads>
  __device__ void load(const Rows<const bf16>& source, int first) const {
    static_assert(kUnits % kThreads == 0);
    const int part = threadIdx.x % 8 * 8;
#pragma unroll
    for (int i = 0; i < kUnits / kThreads; ++i) {
      const int line = (threadIdx.x + i * kThreads) / 8, row = first + line % kRows;
      const int column = line / kRows * 64 + part;
      if (kHead % 64 != 0 && column >= kHead) continue;  // no product reads it
      Vec<bf16, 8>& to = unit(line % kRows, column);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
      if (source.aligned) {
        const bool exists = row < source.rows && column < source.width;
        copy_async(static_cast<uint32_t>(__cvta_generic_to_shared(&to)),
                   exists ? source.at(row, column) : source.data, exists ? kVecBytes : 0);
        continue;
      }
#endif
      to = source.load(row, column);
    }
  }

  /// Stores the tile to rows first ... of `to`.
  template <int kThreads>
  __device__ void store(const Rows<bf16>& to, int first) const {
    constexpr int kRowUnits = kHead / 8;
#pragma unroll 1
    for (int i = threadIdx.x; i < kRows * kRowUnits; i += kThreads) {
      const int row = i / kRowUnits, column = i % kRowUnits * 8;
      to.store(first + row, column, unit(row, column));
    }
  }
};

/// Ends a group of loads, for wait_for_tiles.
__device__ inline void end_of_loads() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  end_of_copies();
#endif
}

/// Waits for all loads of this thread.
__device__ inline void wait_for_tiles() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  wait_for_copies<0>();
#endif
}

/// v[i] without an index into registers. Its arguments are values, or the compiler would choose an address.
__device__ inline float element_of(float v0, float v1, float v2, float v3, int i) {
  return i < 2 ? (i == 0 ? v0 : v1) : (i == 2 ? v2 : v3);
}

/// Keeps AMD's compiler from computing a value later, where more registers are in use.
__device__ inline uint32_t computed_here(uint32_t value) {
#if defined(__HIP_PLATFORM_AMD__) && defined(__HIP_DEVICE_COMPILE__)
  asm volatile("" : "+v"(value));
#endif
  return value;
}

/// What a product needs of a tile that the block walks along: operands whose k are columns of the head, or
/// rows, or both.
enum class Use : uint8_t { kAlongColumns = 1, kAlongRows = 2, kBoth = 3 };

/// kTileRows rows of a head. AMD's atoms read along k, so there a product along rows has its own transposed
/// tile.
template <int kHead, Use kUse>
struct WalkedTile {
  using Plain = HeadTile<kTileRows, kHead>;
  static constexpr bool kHasPlain = !kForAmd || kUse != Use::kAlongRows;
  static constexpr bool kHasTransposed = kForAmd && kUse != Use::kAlongColumns;
  static constexpr int kPlainUnits = kHasPlain ? Plain::kUnits : 0;
  static constexpr int kUnits = kPlainUnits + (kHasTransposed ? kHead * kTileRows / 8 : 0);

  vec4* memory;

  __device__ Plain plain() const { return {memory}; }
  __device__ auto along_columns(int block) const {
    static_assert(kHasPlain);
    return plain().along_columns(block);
  }
  /// The k of AMD's tile are in the order of Atom::sum_k.
  __device__ auto along_rows() const {
    if constexpr (kForAmd) {
      static_assert(kHasTransposed);
      return OperandTile<64 * Plain::kBlocks, true>{memory + kPlainUnits};
    } else {
      return plain().along_rows();
    }
  }
};

/// Loads the two tiles of a stage, such as K and V:
///   start<n>  names rows `first` ... of tile n, and `load` starts the loads
///   finish    ends the loads; a barrier must follow
///   release   ends the use of the tiles before the next finish()
template <typename Atom, int kHead, Use kUse0, Use kUse1>
struct StageLoader {
  using Tile0 = WalkedTile<kHead, kUse0>;
  using Tile1 = WalkedTile<kHead, kUse1>;

  template <int kTile, typename Tile>
  __device__ void start(const Tile& tile, const Rows<const bf16>& source, int first) const {
    tile.plain().template load<kAttentionThreads>(source, first);
  }
  __device__ void load() const { end_of_loads(); }
  __device__ void finish(const Tile0&, const Tile1&) const { wait_for_tiles(); }
  __device__ void release() const {}
};

/// AMD's: the next tiles arrive in registers. A thread has a few rows of eight columns, which it may store
/// transposed.
template <typename Atom, int kHead, Use kUse0, Use kUse1>
struct StageLoaderInRegisters {
  using Tile0 = WalkedTile<kHead, kUse0>;
  using Tile1 = WalkedTile<kHead, kUse1>;

  template <int kTile, typename Tile>
  __device__ void start(const Tile&, const Rows<const bf16>& source, int first) {
    if (kTile == 0 || thread() >= kTileThreads) source_ = source;
    first_ = first;
  }
  __device__ void load() {
    if (kAhead) load_rows();
  }
  __device__ void finish(const Tile0& tile0, const Tile1& tile1) {
    if (!kAhead) load_rows();
    if (thread() < kTileThreads) {
      store(tile0);
    } else if (thread() < 2 * kTileThreads) {
      store(tile1);
    }
  }
  __device__ void release() const { __syncthreads(); }

 private:
  template <int kCount>
  using Words = Vec<uint32_t, kCount>;
  static constexpr int kRows = kHead <= 64 ? 4 : 8;  ///< of a thread
  static constexpr int kAcross = kHead / 8, kTileThreads = kTileRows / kRows * kAcross;
  static_assert(2 * kTileThreads <= kAttentionThreads);
  // RDNA's 256 registers do not suffice for wide rows and two gradients.
  static constexpr bool kAhead = kHead <= 64 || Atom::kLanes == 64 || kUse1 != Use::kBoth;
  Rows<const bf16> source_;
  int first_;
  Words<4> rows_[kRows];

  __device__ void load_rows() {
    if (thread() >= 2 * kTileThreads) return;
#pragma unroll
    for (int i = 0; i < kRows; ++i)
      rows_[i] = load_unit(source_, first_ + row(thread(), i), column(thread()));
  }

  static __device__ int thread() {
    return static_cast<int>(threadIdx.x);
  }
  static __device__ int column(int thread) {
    return thread % kTileThreads % kAcross * 8;
  }
  /// The thread's first element along a line of the transposed tile.
  static __device__ int place(int thread) {
    return thread % kTileThreads / kAcross * kRows;
  }
  /// The row that belongs to place(thread) + i.
  static __device__ int row(int thread, int i) {
    constexpr int kUnits = Atom::kK / 8;
    const int unit = place(thread) / 8;
    return unit / kUnits * Atom::kK + Atom::sum_k(unit % kUnits, place(thread) % 8 + i);
  }

  template <typename T>
  __device__ void store(const T& tile) const {
    // Otherwise its addresses would stay in registers.
    const int t = kAhead ? thread() : static_cast<int>(computed_here(threadIdx.x));
    if constexpr (T::kHasPlain) {
#pragma unroll
      for (int i = 0; i < kRows; ++i)
        tile.plain().unit(row(t, i), column(t)) = __builtin_bit_cast(Unit, rows_[i]);
    }
    if constexpr (T::kHasTransposed) {
#pragma unroll
      for (int c = 0; c < 8; ++c) {
        Words<kRows / 2> line;
#pragma unroll
        for (int w = 0; w < kRows / 2; ++w) line[w] = pair_of(rows_[2 * w], rows_[2 * w + 1], c);
        auto* unit = reinterpret_cast<bf16*>(tile.along_rows().unit(0, place(t), c, column(t)));
        *reinterpret_cast<Words<kRows / 2>*>(unit + place(t) % 8) = line;
      }
    }
  }
  using Unit = Vec<bf16, 8>;
};

template <typename Atom, int kHead, Use kUse0, Use kUse1>
using StageLoaderOf = std::conditional_t<kForAmd, StageLoaderInRegisters<Atom, kHead, kUse0, kUse1>,
                                         StageLoader<Atom, kHead, kUse0, kUse1>>;

/// Keeps AMD's compiler from moving the loads of all steps of a product to its start, which would take more
/// registers than there are.
__device__ inline void end_of_step() {
#if __has_builtin(__builtin_amdgcn_sched_barrier)
  __builtin_amdgcn_sched_barrier(0);
#endif
}

/// A value that AMD's compiler takes for a new one, so that loads at its address stay where they are.
__device__ inline int not_before(int value) {
#if defined(__HIP_PLATFORM_AMD__) && defined(__HIP_DEVICE_COMPILE__)
  asm volatile("" : "+s"(value));
#endif
  return value;
}

/// Products whose left operand is kRows rows of a wave, its share of the block's rows.
template <typename Atom_, int kBlockRows, int kHead>
struct WaveProduct {
  using Atom = Atom_;
  static constexpr int kRows = kBlockRows / (kAttentionThreads / Atom::kLanes);
  static constexpr int kAtoms = kRows / Atom::kM, kHeadAtoms = kHead / Atom::kN;
  static_assert(kRows % Atom::kM == 0 && kHead % Atom::kN == 0 && kHead % Atom::kK == 0 && Atom::kM == 16);

  /// Sums [kRows, 16 kColumns].
  template <int kColumns>
  using Sums = float[kAtoms][kColumns][Atom::kSum];

  int lane, row;  ///< row: the wave's first row
  // The rows of the waves that must take the same way through the kernel: of this wave alone, or of two that
  // form one wave of the GPU.
  int first_together, last_together;

  __device__ WaveProduct()
      : lane(threadIdx.x % Atom::kLanes),
        row(same_in_wave(static_cast<int>(threadIdx.x) / Atom::kLanes) * kRows) {
    constexpr int kTogether = kWaveSize > Atom::kLanes ? kWaveSize / Atom::kLanes * kRows : kRows;
    first_together = row / kTogether * kTogether;
    last_together = first_together + kTogether - 1;
  }

  /// The wave's rows of a tile as left operands.
  struct LeftRows {
    typename Atom::Left atoms[kHead / Atom::kK][kAtoms];
  };

  template <typename Tile>
  __device__ __forceinline__ void load_rows(LeftRows& left, const Tile& tile) const {
#pragma unroll
    for (int k = 0; k < kHead; k += Atom::kK) load_rows(left.atoms[k / Atom::kK], tile, k);
  }

  /// The wave's rows of a matrix in memory as left operands.
  struct MemoryRows {
    Rows<const bf16> source;
    int first;  ///< the block's first row
  };

  __device__ __forceinline__ void load_rows(LeftRows& left, const MemoryRows& rows) const {
#pragma unroll
    for (int k = 0; k < kHead; k += Atom::kK) load_rows(left.atoms[k / Atom::kK], rows, k);
  }

  /// sums[i][j] += (the wave's rows) (rows first + 16 j ... of right)^T, over the columns of the head. The
  /// wave's rows are LeftRows, or a tile or memory that is read again each time, which takes fewer registers.
  template <int kColumns, typename Left, typename Right>
  __device__ __forceinline__ void add_rows_rows(Sums<kColumns>& sums, const Left& left, const Right& right,
                                                int first) const {
#pragma unroll
    for (int k = 0; k < kHead; k += Atom::kK) {
      typename Atom::Left l[kAtoms];
      typename Atom::Right r[kColumns];
      end_of_step();
      load_rows(l, left, k);
#pragma unroll
      for (int j = 0; j < kColumns; ++j)
        load_right<Atom>(r[j], right.along_columns(k / 64), k % 64, first + j * Atom::kN, lane);
#pragma unroll
      for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
        for (int j = 0; j < kColumns; ++j) {
          Atom::multiply_add(sums[i][j], l[i], r[j]);
          if constexpr (kForAmd) Atom::end_of_step(sums[i][j]);
        }
      }
    }
  }

  /// sums += p (rows first ... of right), where p [kRows, 16 kColumns] is rounded to bf16.
  template <int kColumns, typename Right>
  __device__ __forceinline__ void add_scores_rows(Sums<kHeadAtoms>& sums, const Sums<kColumns>& p,
                                                  const Right& right, int first) const {
    constexpr int kStep = Atom::kK / Atom::kN;  // atoms of p that make one left operand
    static_assert(kColumns % kStep == 0);
#pragma unroll
    for (int k = 0; k < kColumns / kStep; ++k) {
      typename Atom::Left l[kAtoms];
#pragma unroll
      for (int i = 0; i < kAtoms; ++i) l[i] = Atom::as_left(&p[i][k * kStep]);
#pragma unroll
      for (int j = 0; j < kHeadAtoms; ++j) {
        if (j % 4 == 0) end_of_step();
        typename Atom::Right r;
        load_right<Atom>(r, right.along_rows(), first + k * Atom::kK, j * Atom::kN, lane);
#pragma unroll
        for (int i = 0; i < kAtoms; ++i) {
          Atom::multiply_add(sums[i][j], l[i], r);
          if constexpr (kForAmd) Atom::end_of_step(sums[i][j]);
        }
      }
    }
  }

  /// Rounds sums [kRows, kHead], scaled by scale(i, lane row), to the wave's rows of a tile.
  template <typename Tile, typename F>
  __device__ void store(const Tile& tile, const Sums<kHeadAtoms>& sums, const F& scale) const {
#pragma unroll
    for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
      for (int j = 0; j < kHeadAtoms; ++j) {
#pragma unroll
        for (int e = 0; e < Atom::kSum; e += Atom::kNeighbours) {
          const int column = j * Atom::kN + Atom::sum_column(lane, e);
          const float factor = scale(i, Atom::lane_row(e));
          Vec<float, Atom::kNeighbours> scaled;
#pragma unroll
          for (int v = 0; v < Atom::kNeighbours; ++v) scaled[v] = sums[i][j][e + v] * factor;
          const auto values = from_floats<bf16>(scaled);
          auto* to = &tile.unit(row + i * Atom::kM + Atom::sum_row(lane, e), column / 8 * 8)[column % 8];
          *reinterpret_cast<Vec<bf16, Atom::kNeighbours>*>(to) = values;
        }
      }
    }
  }

 private:
  template <typename Tile>
  __device__ __forceinline__ void load_rows(typename Atom::Left (&l)[kAtoms], const Tile& tile, int k) const {
#pragma unroll
    for (int i = 0; i < kAtoms; ++i)
      load_left<Atom>(l[i], tile.along_columns(k / 64), k % 64, row + i * Atom::kM, lane);
  }
  __device__ __forceinline__ void load_rows(typename Atom::Left (&l)[kAtoms], const LeftRows& left,
                                            int k) const {
#pragma unroll
    for (int i = 0; i < kAtoms; ++i) l[i] = left.atoms[k / Atom::kK][i];
  }
  __device__ __forceinline__ void load_rows(typename Atom::Left (&l)[kAtoms], const MemoryRows& rows,
                                            int k) const {
#pragma unroll
    for (int i = 0; i < kAtoms; ++i) {
#pragma unroll
      for (int u = 0; u < Atom::kOperandUnits; ++u) {
        const int at = rows.first + row + i * Atom::kM + lane % 16;
        const auto unit = load_unit(rows.source, at, not_before(k) + Atom::unit_k(lane, u));
        l[i].set_unit(u, __builtin_bit_cast(vec4, unit));
      }
    }
  }
};

}  // namespace hipgpt::hip
