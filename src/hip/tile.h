// Tiles: parts of a matrix in shared memory, with their layouts and loaders.
#pragma once

#include <type_traits>

#include "hip/bf16.h"

namespace hipgpt::hip {

/// A [rows, width] part of a matrix in device memory whose rows are `stride` elements apart.
template <typename T>
struct Rows {
  T* data;
  int stride, rows, width;
  bool aligned;  ///< as defined in vec.h, for kernels that serve both cases

  using Pack = Vec<std::remove_const_t<T>, kVecSize<T>>;

  __device__ T* at(int row, int column) const { return data + static_cast<int64_t>(row) * stride + column; }

  /// Loads the pack that starts at `column`, a multiple of its size. Elements outside are zero.
  __device__ Pack load(int row, int column) const {
    if (row >= rows || column >= width) return {};
    const T* p = at(row, column);
    return aligned ? load_whole(p) : load_part(p, 0, width - column);
  }

  /// Loads four neighbours as floats, whatever T. For this, the rows are aligned if they start at multiples
  /// of four elements and are whole fours long.
  __device__ vec4 load_four(int row, int column) const {
    if (row >= rows || column >= width) return {};
    return aligned ? load_floats<true, 4>(at(row, 0), column, width)
                   : load_floats<false, 4>(at(row, 0), column, width);
  }

  /// Stores four neighbours like load_four(), but writes nothing outside.
  __device__ void store_four(int row, int column, vec4 v) const {
    if (row >= rows || column >= width) return;
    if (aligned) {
      store_floats<true>(at(row, 0), column, width, v);
    } else {
      store_floats<false>(at(row, 0), column, width, v);
    }
  }

  /// Stores a pack like load(), but writes nothing outside.
  __device__ void store(int row, int column, Pack v) const {
    if (row >= rows || column >= width) return;
    if (aligned) {
      store_whole(at(row, column), v);
    } else {
      store_part(at(row, column), 0, width - column, v);
    }
  }
};

// ---- Layouts --------------------------------------------------------------------------------------------

// If rows simply followed each other, lanes that read the same columns of different rows would hit the same
// banks. A layout moves every 2^kShift rows to other banks.

/// Adds kPad vec4 of padding after every 2^kShift rows. This costs memory but no instructions.
template <int kShift, int kPad>
struct Padded {
  static constexpr bool kPlainRows = kShift == 0;  ///< columns are consecutive, and rows have one pitch
  __host__ __device__ static constexpr int size(int rows, int row_vecs) {
    return rows * row_vecs + (((rows - 1) >> kShift) + 1) * kPad;
  }
  __device__ static int index(int row, int vec, int row_vecs) {
    return row * row_vecs + (row >> kShift) * kPad + vec;
  }
};

/// Permutes each group of eight vec4 in a row. This costs no memory but one instruction per access.
template <int kShift>
struct Swizzled {
  static constexpr bool kPlainRows = false;
  __host__ __device__ static constexpr int size(int rows, int row_vecs) { return rows * row_vecs; }
  __device__ static int index(int row, int vec, int row_vecs) {
    return row * row_vecs + (vec ^ (row >> kShift & 7));
  }
};

/// A tile of [kRows, kColumns] floats in shared memory.
template <int kRows_, int kColumns_, typename Layout>
struct Tile {
  static constexpr int kRows = kRows_, kColumns = kColumns_;
  static constexpr int kRowVecs = kColumns / 4;                ///< vec4 in a row
  static constexpr int kVecs = kRows * kRowVecs;               ///< vec4 that hold data
  static constexpr int kSize = Layout::size(kRows, kRowVecs);  ///< vec4 including padding
  static_assert(kColumns % 32 == 0 && kRows % 4 == 0, "rows are whole lines of banks");

  vec4* memory;

  __device__ vec4& at(int row, int vec) const { return memory[Layout::index(row, vec, kRowVecs)]; }

  /// kCount (1, 2 or 4) neighbours starting at `column`, a multiple of kCount.
  template <int kCount>
  __device__ Vec<float, kCount>& piece(int row, int column) const {
    float* first;
    if constexpr (Layout::kPlainRows) {
      first = reinterpret_cast<float*>(memory) + row * (kSize / kRows * 4) + column;
    } else {
      const unsigned c = column;
      first = &at(row, c / 4).values[0] + c % 4;
    }
    return *reinterpret_cast<Vec<float, kCount>*>(first);
  }
};

// ---- From memory to a tile ------------------------------------------------------------------------------

/// Loads a tile with kThreads threads. Each thread first loads its part into registers, so that computation
/// can hide the latency of memory. If kTransposed, rows in memory become columns of the tile.
template <typename T, int kThreads, bool kTransposed = false>
struct TileLoader {
  static constexpr int kCount = T::kVecs / kThreads;
  static constexpr int kSourceVecs = kTransposed ? T::kRows / 4 : T::kRowVecs;  ///< vec4 in a row in memory
  static_assert(T::kVecs % kThreads == 0, "every thread brings equally much");
  vec4 vecs[kCount];

  // Unsigned, because dividing a signed number takes an instruction or two more.
  static __device__ int row(unsigned i) { return (threadIdx.x + i * kThreads) / kSourceVecs; }
  static __device__ int vec(unsigned i) { return (threadIdx.x + i * kThreads) % kSourceVecs; }

  /// Issues the loads. Elements outside `source` become zero.
  template <typename Float>
  __device__ void load(const Rows<Float>& source, int row0, int column0) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) vecs[i] = source.load_four(row0 + row(i), column0 + 4 * vec(i));
  }

  __device__ void store(const T& tile) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if constexpr (kTransposed) {
#pragma unroll
        for (int e = 0; e < 4; ++e) tile.template piece<1>(4 * vec(i) + e, row(i))[0] = vecs[i][e];
      } else {
        tile.at(row(i), vec(i)) = vecs[i];
      }
    }
  }
};

/// Copies the rows starting at `first` to a tile, without TileLoader's registers, for tiles that need too
/// many.
template <int kThreads, typename T, typename Float>
__device__ inline void copy_tile(const T& tile, const Rows<Float>& source, int first) {
#pragma unroll 4
  for (int i = threadIdx.x; i < T::kVecs; i += kThreads) {
    const int row = i / T::kRowVecs, vec = i % T::kRowVecs;
    tile.at(row, vec) = source.load_four(first + row, 4 * vec);
  }
}

}  // namespace hipgpt::hip
