// Tiles: parts of a matrix in shared memory, how they are laid out there, and how they come there.
#pragma once

#include "hip/vec.h"

namespace hipgpt::hip {

/// A [rows, width] part of a matrix in device memory whose rows are `stride` elements apart.
template <typename T>
struct Rows {
  T* data;
  int stride, rows, width;
  bool aligned;  ///< as vec.h says, for a kernel that serves both cases

  __device__ T* at(int row, int column) const { return data + static_cast<int64_t>(row) * stride + column; }

  /// Four elements from `column` on, a multiple of 4; zeros outside.
  __device__ vec4 load(int row, int column) const {
    if (row >= rows || column >= width) return {};
    const T* p = at(row, column);
    return aligned ? load_whole(p) : load_part(p, 0, width - column);
  }

  /// Nothing is written outside.
  __device__ void store(int row, int column, vec4 v) const {
    if (row >= rows || column >= width) return;
    if (aligned) {
      store_whole(at(row, column), v);
    } else {
      store_part(at(row, column), 0, width - column, v);
    }
  }
};

// ---- Layouts --------------------------------------------------------------------------------------------

// Lanes that read the same columns of different rows would meet the same banks if rows followed each other
// plainly. A layout moves every 2^kShift rows to other banks.

/// By kPad vec4 of padding after every 2^kShift rows. It costs no instruction, but memory.
template <int kShift, int kPad>
struct Padded {
  static constexpr bool kPlainRows = kShift == 0;  ///< a row's columns follow each other, and so do the rows
  __host__ __device__ static constexpr int size(int rows, int row_vecs) {
    return rows * row_vecs + (((rows - 1) >> kShift) + 1) * kPad;
  }
  __device__ static int index(int row, int vec, int row_vecs) {
    return row * row_vecs + (row >> kShift) * kPad + vec;
  }
};

/// By exchanging the vec4 within each eight of a row: it costs no memory, but an instruction an access.
template <int kShift>
struct Swizzled {
  static constexpr bool kPlainRows = false;
  __host__ __device__ static constexpr int size(int rows, int row_vecs) { return rows * row_vecs; }
  __device__ static int index(int row, int vec, int row_vecs) {
    return row * row_vecs + (vec ^ (row >> kShift & 7));
  }
};

/// [kRows, kColumns] floats in shared memory.
template <int kRows_, int kColumns_, typename Layout>
struct Tile {
  static constexpr int kRows = kRows_, kColumns = kColumns_;
  static constexpr int kRowVecs = kColumns / 4;                ///< vec4 of a row
  static constexpr int kVecs = kRows * kRowVecs;               ///< that hold data
  static constexpr int kSize = Layout::size(kRows, kRowVecs);  ///< in vec4, with the padding
  static_assert(kColumns % 32 == 0 && kRows % 4 == 0, "rows are whole lines of banks");

  vec4* memory;

  __device__ vec4& at(int row, int vec) const { return memory[Layout::index(row, vec, kRowVecs)]; }

  /// kCount (1, 2 or 4) neighbours from `column` on, a multiple of kCount.
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

/// The part of a tile that a thread of kThreads brings: in registers on its way, so that the memory's latency
/// passes while something else is computed. kTransposed: rows of memory become columns of the tile.
template <typename T, int kThreads, bool kTransposed = false>
struct TileLoader {
  static constexpr int kCount = T::kVecs / kThreads;
  static constexpr int kSourceVecs = kTransposed ? T::kRows / 4 : T::kRowVecs;  ///< of a row in memory
  static_assert(T::kVecs % kThreads == 0, "every thread brings equally much");
  vec4 vecs[kCount];

  // Unsigned until it is divided: of a signed number that is an instruction or two more.
  static __device__ int row(unsigned i) { return (threadIdx.x + i * kThreads) / kSourceVecs; }
  static __device__ int vec(unsigned i) { return (threadIdx.x + i * kThreads) % kSourceVecs; }

  /// Issues the loads. What lies outside of `source` becomes zero.
  template <typename Float>
  __device__ void load(const Rows<Float>& source, int row0, int column0) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) vecs[i] = source.load(row0 + row(i), column0 + 4 * vec(i));
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

/// tile = rows from `first` on, for tiles of which a thread's part would fill its registers.
template <int kThreads, typename T, typename Float>
__device__ inline void copy_tile(const T& tile, const Rows<Float>& source, int first) {
#pragma unroll 4
  for (int i = threadIdx.x; i < T::kVecs; i += kThreads) {
    const int row = i / T::kRowVecs, vec = i % T::kRowVecs;
    tile.at(row, vec) = source.load(first + row, 4 * vec);
  }
}

}  // namespace hipgpt::hip
