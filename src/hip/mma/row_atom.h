// Atoms of bf16 whose operands are read straight from rows in memory, for products that use each element once.
//
// A lane reads units of eight neighbours along k, 16 bytes, although the instruction expects other k in these
// registers: k may be permuted, if both operands are. AMD's atoms do so everywhere (amd_bf16.h).
#pragma once

#include "hip/accumulator.h"

namespace hipgpt::hip {

/// C [16,16] += A [16,kK] B [16,kK]^T by kLanes lanes, where
///   row(lane, r)         is the r-th of the kRows rows of an operand that a lane holds,
///   unit_k(lane, u)      the first k of the u-th of its kUnits units of that row,
///   kParts, kRowStride   how many lanes hold other k of the same row, and how far apart they are.
template <typename Atom>
struct RowAtom : Atom {
  static constexpr int kRows = 1, kUnits = Atom::kOperandUnits, kParts = Atom::kK / (8 * kUnits);
  struct Operand {
    uint32_t pairs[kRows][kUnits][4];
  };
  __device__ static int row(int lane, int) { return lane % 16; }

  __device__ static void multiply_add(float (&sum)[Atom::kSum], const Operand& a, const Operand& b) {
    typename Atom::Left left;
    typename Atom::Right right;
    __builtin_memcpy(left.pairs, a.pairs, sizeof left.pairs);
    __builtin_memcpy(right.pairs, b.pairs, sizeof right.pairs);
    Atom::multiply_add(sum, left, right);
  }
};

/// Two atoms along k.
template <>
struct RowAtom<Sm80Bf16Atom> : Sm80Bf16Atom {
  static constexpr int kK = 32, kRows = 2, kUnits = 1, kParts = 4;
  struct Operand {
    uint32_t pairs[kRows][kUnits][4];
  };
  __device__ static int row(int lane, int r) { return lane / 4 + 8 * r; }
  __device__ static int unit_k(int lane, int) { return lane % 4 * 8; }

  __device__ static void multiply_add(float (&sum)[kSum], const Operand& a, const Operand& b) {
#pragma unroll
    for (int half = 0; half < 4; half += 2) {
      const Left left = {
          {a.pairs[0][0][half], a.pairs[1][0][half], a.pairs[0][0][half + 1], a.pairs[1][0][half + 1]}};
      const Right right = {
          {b.pairs[0][0][half], b.pairs[0][0][half + 1], b.pairs[1][0][half], b.pairs[1][0][half + 1]}};
      Sm80Bf16Atom::multiply_add(sum, left, right);
    }
  }
};

}  // namespace hipgpt::hip
