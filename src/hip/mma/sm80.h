// The atom of NVIDIA's sm_80 and later: mma.m16n8k8 multiplies in tf32, which has fp32's exponent but only 11
// of its 24 significant bits.
//
// Each value is split into two tf32 numbers, x = high + low. Three products, high high + high low + low high,
// are accurate to about 2^-22 (Ootomo & Yokota, IJHPCA 2022). The sums are in fp32. NVIDIA's PTX manual,
// section mma.m16n8k8, lists which lane holds which element.
#pragma once

#include "hip/mma/emulated.h"

namespace hipgpt::hip {

/// C [kM,kN] += A [kM,kK] B [kK,kN] by 32 lanes: how many elements of each matrix a lane holds, and which.
struct Sm80Atom {
  static constexpr int kM = 16, kN = 8, kK = 8, kLanes = 32;
  static constexpr int kLeft = 4, kRight = 2, kSum = 4;  // elements per lane
  static constexpr int kNeighbours = 2;                  // sums of a lane that are adjacent in C
  static constexpr int kStep = 16;                       // a block's step along k
  static constexpr bool kLoadsMatrices = false;
  static constexpr bool kReadAhead = false;  // its registers would leave no room for three blocks
  // vec4 of padding after each row of operands and of sums, so that the lanes use all banks.
  static constexpr int kPad = 2, kStagePad = 2;

  __device__ static int left_row(int lane, int i) { return lane / 4 + i % 2 * 8; }
  __device__ static int left_k(int lane, int i) { return lane % 4 + i / 2 * 4; }
  __device__ static int right_k(int lane, int i) { return lane % 4 + i * 4; }
  __device__ static int right_column(int lane, int) { return lane / 4; }
  __device__ static int sum_row(int lane, int i) { return lane / 4 + i / 2 * 8; }
  __device__ static int sum_column(int lane, int i) { return lane % 4 * 2 + i % 2; }

  template <int kCount>
  struct Split {
    uint32_t high[kCount], low[kCount];

    __device__ void set(int i, float x) {
      high[i] = to_tf32(x);
      low[i] = __float_as_uint(x - __uint_as_float(high[i]));  // the unit ignores bits beyond tf32
    }
  };
  using Left = Split<kLeft>;
  using Right = Split<kRight>;

  __device__ static float result(float sum) { return sum; }

  /// Adds the small products first, to lose fewer of their bits.
  __device__ static void multiply_add(float (&sum)[kSum], const Left& a, const Right& b) {
    multiply(sum, a.low, b.high);
    multiply(sum, a.high, b.low);
    multiply(sum, a.high, b.high);
  }

 private:
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  __device__ static uint32_t to_tf32(float x) {
    uint32_t result;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result) : "f"(x));
    return result;
  }
  __device__ static void multiply(float (&c)[kSum], const uint32_t (&a)[kLeft], const uint32_t (&b)[kRight]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  __device__ static uint32_t to_tf32(float x) {
    return emulated_to_tf32(x);
  }
  __device__ static void multiply(float (&c)[kSum], const uint32_t (&a)[kLeft], const uint32_t (&b)[kRight]) {
    emulated_mma_m16n8k8(c, a, b);
  }
#endif
};

}  // namespace hipgpt::hip
