// Exercise: how many waves of a kernel fit a SIMD.   Guide: chapter 15, src/hip/whole_step.md
//
// A compute unit of an MI250 (gfx90a) has 4 SIMDs and 65536 bytes of LDS. A SIMD holds at most 8 waves of 64
// lanes. It has 512 vector registers for each lane, and gives them to waves in multiples of 8. LDS limits
// whole blocks: those on the compute unit share its LDS, and spread their waves over the 4 SIMDs.
//
// Return the waves on the fullest SIMD for a kernel with `registers` vector registers, `lds` bytes a block
// (0: none) and `threads` threads a block: the smallest of the three limits. The check takes kernels of
// src/hip, with what tests/isa/resources.py reports for them.
//
//   occupancy(90, 8192, 128): registers are granted as 96, so 512 / 96 = 5 waves fit. 8 blocks of 2 waves fit
//   the LDS, 16 waves on 4 SIMDs, 4 each. So 4.
//
// Empty, it prints
// > occupancy: attention_kernel<32, 16, 1>: occupancy(90, 8192, 128) is 0, and should be 4
//
// Check it with ./scripts/exercise.sh occupancy
#include <algorithm>

int occupancy(int registers, int lds, int threads) {
  // Write your code here.
  return 0;
}
