// One tile of C = op(A) op(B): how a block of threads computes kM x kN elements.
//
// The block walks along k in steps. Each step loads a tile of A and a tile of B into shared memory, with k
// outermost whatever their order in memory, and the accumulator multiplies them. A value fetched once from
// memory serves kN (or kM) multiplications. While one step is computed, the next is loaded into registers.
// Shared memory holds two steps, so one barrier per step is enough.
//
// The sums reach memory through shared memory, one band of rows at a time. So C is written in whole rows, and
// the epilogue is a single loop instead of code repeated for every sum of a thread.
#pragma once

#include <type_traits>

#include "hip/accumulator.h"
#include "hip/epilogue.h"

namespace hipgpt::hip {

/// A block computes a tile of kM x kN, and each of its threads kTM x kTN of it. The step along k is kStep, or
/// shorter if the atom asks for it; kOwnStep divides kStep, so the host may split k at multiples of kStep.
/// With NoAtom, the tile uses ordinary multiplications.
template <int kM_, int kN_, int kStep_, int kTM_, int kTN_, typename Atom_>
struct TileShape {
  using Atom = typename AtomOf<Atom_>::Type;
  static constexpr int kM = kM_, kN = kN_, kStep = kStep_, kTM = kTM_, kTN = kTN_;
  static constexpr int kThreads = kM / kTM * (kN / kTN);
  static constexpr int kOwnStep = Atom::kStep == 0 ? kStep : Atom::kStep;
  static_assert(kM % (4 * kTM) == 0 && kN % (8 * kTN) == 0 && kStep % kOwnStep == 0);

  using TileA = Tile<kOwnStep, kM, Padded<0, Atom::kPad>>;
  using TileB = Tile<kOwnStep, kN, Padded<0, Atom::kPad>>;
};

/// A whole product of In matrices, as passed to a kernel; C and what the epilogue accesses are Out. `lda`,
/// `ldb` and `ldc` are the elements from one row in memory to the next, of A and B as they are stored. Block
/// (x, y) computes tile x over part y of k. If k has several parts, the block stores to part y instead of c;
/// the rows of parts are whole vec4 long.
template <typename In, typename Out>
struct Product {
  Out* c;
  const In *a, *b;
  int lda, ldb, ldc;
  int m, n, k;
  int part_k;      // length of a part of k
  bool aligned_c;  // rows of c and of all that the epilogue accesses start at multiples of 16 bytes
  Epilogue<Out> epilogue = {};
  float* parts = nullptr;        // null if k has a single part
  float* column_sums = nullptr;  // if given, the sums of C's columns are added to it, by kernels that can

  __device__ Rows<Out> result() const { return {c, ldc, m, n, aligned_c}; }

  __host__ __device__ int part_pitch() const { return (n + 3) / 4 * 4; }

  /// The sums of part `part` of k.
  __device__ Rows<float> sums_of(int part) const {
    return {parts + static_cast<int64_t>(part) * m * part_pitch(), part_pitch(), m, n, true};
  }
};

/// Stores a block's sums, tile (m0, n0) of C, through shared memory.
template <typename Shape, typename Sums>
struct SumsStore {
  static constexpr int kBandRows = Shape::kM / Sums::kPartM * Sums::kBandM;
  using Stage = Tile<kBandRows, Shape::kN, Padded<0, Sums::kStagePad>>;

  template <typename In, typename Out>
  static __device__ __forceinline__ void run(const Sums& sums, const Product<In, Out>& p, vec4* memory,
                                             int m0, int n0) {
    if constexpr (std::is_same_v<Out, float>) {
      const Rows<float> to = p.parts != nullptr ? p.sums_of(static_cast<int>(blockIdx.y)) : p.result();
      run(sums, to, p.epilogue, memory, m0, n0);
    } else if (p.parts != nullptr) {
      run(sums, p.sums_of(static_cast<int>(blockIdx.y)), Epilogue<float>{}, memory, m0, n0);
    } else {
      run(sums, p.result(), p.epilogue, memory, m0, n0);
    }
  }

 private:
  template <typename Out>
  static __device__ __forceinline__ void run(const Sums& sums, const Rows<Out>& c,
                                             const Epilogue<Out>& epilogue, vec4* memory, int m0, int n0) {
    constexpr int kPack = kVecSize<Out>, kRowPacks = Shape::kN / kPack;
    const Stage stage{memory};
#pragma unroll 1
    for (int band = 0; band < Sums::kBands; ++band) {
      __syncthreads();  // the tiles, or the previous band, have been read
      sums.for_each(band, [&](int row, int column, auto values) {
        stage.template piece<sizeof(values) / sizeof(float)>(row, column) = values;
      });
      __syncthreads();
#pragma unroll 1
      for (int i = threadIdx.x; i < kBandRows * kRowPacks; i += Shape::kThreads) {
        const int row = i / kRowPacks, column = i % kRowPacks * kPack;
        const int tile_row = row / Sums::kBandM * Sums::kPartM + band * Sums::kBandM + row % Sums::kBandM;
        Vec<float, kPack> values;
#pragma unroll
        for (int v = 0; v < kPack / 4; ++v) {
          const vec4 four = stage.at(row, column / 4 + v);
#pragma unroll
          for (int e = 0; e < 4; ++e) values[4 * v + e] = four[e];
        }
        epilogue.store(c, m0 + tile_row, n0 + column, values);
      }
    }
  }
};

/// The work of one block: its tile of the product, with shared memory in `memory`.
template <typename Shape, bool kTransA, bool kTransB, bool kAligned>
struct ProductTile {
  using Sums = Accumulator<Shape>;
  using TileA = typename Shape::TileA;
  using TileB = typename Shape::TileB;
  using Store = SumsStore<Shape, Sums>;
  static constexpr int kTiles = 2 * (TileA::kSize + TileB::kSize);
  static constexpr int kSize =
      kTiles > Store::Stage::kSize ? kTiles : Store::Stage::kSize;  ///< vec4 of shared memory

  static __device__ __forceinline__ void run(const Product<float, float>& p, vec4* memory) {
    // Tiles are numbered with columns fastest, so that tiles that run together share rows of A.
    const int across = (p.n + Shape::kN - 1) / Shape::kN;
    const int m0 = static_cast<int>(blockIdx.x) / across * Shape::kM;
    const int n0 = static_cast<int>(blockIdx.x) % across * Shape::kN;
    const int k_begin = static_cast<int>(blockIdx.y) * p.part_k;
    const int k_end = k_begin + p.part_k < p.k ? k_begin + p.part_k : p.k;
    Sums sums;
    multiply(sums, p, memory, m0, n0, k_begin, k_end);
    Store::run(sums, p, memory, m0, n0);
  }

 private:
  using LoaderA = TileLoader<TileA, Shape::kThreads, !kTransA>;
  using LoaderB = TileLoader<TileB, Shape::kThreads, kTransB>;

  /// The sums over k in [k_begin, k_end) of op(A)[m0 + row, k] op(B)[k, n0 + column].
  static __device__ __forceinline__ void multiply(Sums& sums, const Product<float, float>& p, vec4* memory,
                                                  int m0, int n0, int k_begin, int k_end) {
    // Lambdas that return the tile of a stage: an array of tiles, indexed at run time, would be in memory.
    const auto tile_a = [memory](int stage) { return TileA{memory + stage * TileA::kSize}; };
    const auto tile_b = [memory](int stage) {
      return TileB{memory + 2 * TileA::kSize + stage * TileB::kSize};
    };
    const Rows<const float> a = kTransA ? Rows<const float>{p.a, p.lda, k_end, p.m, kAligned}
                                        : Rows<const float>{p.a, p.lda, p.m, k_end, kAligned};
    const Rows<const float> b = kTransB ? Rows<const float>{p.b, p.ldb, p.n, k_end, kAligned}
                                        : Rows<const float>{p.b, p.ldb, k_end, p.n, kAligned};
    LoaderA load_a;
    LoaderB load_b;
    const auto load = [&](int k) {
      load_a.load(a, kTransA ? k : m0, kTransA ? m0 : k);
      load_b.load(b, kTransB ? n0 : k, kTransB ? k : n0);
    };
    load(k_begin);
    load_a.store(tile_a(0));
    load_b.store(tile_b(0));
    __syncthreads();
    int current = 0;
    for (int k = k_begin; k < k_end; k += TileA::kRows) {
      const bool more = k + TileA::kRows < k_end;
      if (more) load(k + TileA::kRows);
      sums.multiply(tile_a(current), tile_b(current));
      if (more) {
        current ^= 1;
        load_a.store(tile_a(current));
        load_b.store(tile_b(current));
        __syncthreads();
      }
    }
  }
};

}  // namespace hipgpt::hip
