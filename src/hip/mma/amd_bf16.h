// What the bf16 atoms of AMD have in common. AMD's matrix instruction calculator lists which lane holds which
// element; two liberties make all atoms alike to the kernels:
//
//   k may be permuted, if both operands are. So a lane reads eight neighbours along k, 16 bytes, although the
//   instruction may expect other k in these registers.
//   C^T = B^T A^T. Atoms swap the operands, so that the sums of a lane are in one row of C, l mod 16.
//
// So the sums of a row of scores are operands of the next product without passing through shared memory, and
// only the order of k differs (sum_k).
#pragma once

#include "hip/bf16.h"
#include "hip/mma/emulated.h"

namespace hipgpt::hip {

/// kUnits times eight elements of a row of A or of a column of B.
template <int kUnits>
struct AmdOperand {
  uint32_t pairs[4 * kUnits];

  /// Takes eight neighbours in shared memory.
  __device__ void set_unit(int unit, const vec4& eight) {
#pragma unroll
    for (int i = 0; i < 4; ++i) pairs[4 * unit + i] = __float_as_uint(eight[i]);
  }
  template <typename To>
  __device__ To as(int first) const {
    To result;
    static_assert(sizeof(To) % sizeof(uint32_t) == 0);
    __builtin_memcpy(&result, pairs + first, sizeof(To));
    return result;
  }
};

/// The loads of an atom: lane l holds row or column l mod 16 of an operand. `Atom` gives
///   kUnits               units of eight k that a lane holds
///   unit_k(lane, unit)   the first k of a unit
///   sum_k(unit, i)       which k of a step element i of a unit is, in the operand that as_left() makes of
///                        sums
template <typename Atom, int kUnits>
struct AmdOperandLoads {
  static constexpr int kOperandUnits = kUnits;
  static constexpr bool kLoadsMatrices = true, kReadAhead = false;
  static constexpr bool kPacked = true;  ///< operands are read along k
  using Left = AmdOperand<kUnits>;
  using Right = AmdOperand<kUnits>;

  /// Rows wave_row + row ... of the tile. If `row` is a constant in unrolled loops and wave_row is the rest,
  /// all rows need few addresses (OperandTile::unit).
  template <typename Tile>
  __device__ static void load_left(Left& left, const Tile& tile, int k, int row, int lane, int wave_row = 0) {
    static_assert(Tile::kAlongK);
#pragma unroll
    for (int u = 0; u < kUnits; ++u)
      left.set_unit(u, *tile.unit(k, Atom::unit_k(lane, u), row, wave_row + lane % 16));
  }
  template <typename Tile>
  __device__ static void load_right(Right& right, const Tile& tile, int k, int column, int lane,
                                    int wave_column = 0) {
    load_left(right, tile, k, column, lane, wave_column);
  }

  __device__ static int sum_row(int lane, int) {
    return lane % 16;
  }
  static constexpr int kLaneRows = 1;
  __device__ static int lane_row(int) {
    return 0;
  }
};

}  // namespace hipgpt::hip
