// Matrix cores: units that multiply small matrices held by the lanes of a wave together, many times as fast
// as lanes do by themselves. This is the one header of kernels that knows vendors.
//
// MatrixCore describes what the architecture at hand has for fp32, as an atom C [kM,kN] += A [kM,kK] B
// [kK,kN]: how many values a lane holds of A, B and C, which ones, and how to multiply. kPresent false: it
// has nothing, and kernels use ordinary multiplications.
//
//   CDNA (gfx90a, gfx940 and later): v_mfma_f32_16x16x4_f32 multiplies in fp32.
//   NVIDIA (sm_80 and later): mma.m16n8k8 multiplies in tf32, which has fp32's exponent but 11 of its 24
//   bits.
//     A value is split into two tf32 numbers, x = high + low, and three products, high high + high low + low
//     high, are right to about 2^-22 (Ootomo & Yokota, IJHPCA 2022). The sums are in fp32.
//   RDNA's units (WMMA) have no fp32.
//
// Which lane holds what is in AMD's matrix instruction calculator and in NVIDIA's PTX manual, section
// mma.m16n8k8.
#pragma once

#include "hip/kernel.h"

namespace hipgpt::hip {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800

struct MatrixCore {
  static constexpr bool kPresent = true;
  static constexpr int kM = 16, kN = 8, kK = 8;
  static constexpr int kLeft = 4, kRight = 2, kSum = 4;  // values of a lane
  static constexpr int kNeighbours = 2;                  // sums of a lane that are side by side in C
  static constexpr int kBankShift = 8;  // between rows of a tile, so that a wave reads all banks

  __device__ static int left_row(int i) { return lane() / 4 + i % 2 * 8; }
  __device__ static int left_k(int i) { return lane() % 4 + i / 2 * 4; }
  __device__ static int right_k(int i) { return lane() % 4 + i * 4; }
  __device__ static int right_column(int) { return lane() / 4; }
  __device__ static int sum_row(int i) { return lane() / 4 + i / 2 * 8; }
  __device__ static int sum_column(int i) { return lane() % 4 * 2 + i % 2; }

  template <int kCount>
  struct Split {
    uint32_t high[kCount], low[kCount];

    __device__ void set(int i, float x) {
      asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(high[i]) : "f"(x));
      low[i] = __float_as_uint(x - __uint_as_float(high[i]));  // the unit ignores the bits that tf32 has not
    }
  };
  using Left = Split<kLeft>;
  using Right = Split<kRight>;

  /// The small products first.
  __device__ static void multiply_add(float (&sum)[kSum], const Left& a, const Right& b) {
    multiply(sum, a.low, b.high);
    multiply(sum, a.high, b.low);
    multiply(sum, a.high, b.high);
  }

 private:
  __device__ static int lane() { return threadIdx.x % 32; }

  __device__ static void multiply(float (&c)[kSum], const uint32_t (&a)[kLeft], const uint32_t (&b)[kRight]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
};

#elif defined(__gfx90a__) || defined(__gfx940__) || defined(__gfx942__) || defined(__gfx950__)

struct MatrixCore {
  static constexpr bool kPresent = true;
  static constexpr int kM = 16, kN = 16, kK = 4;
  static constexpr int kLeft = 1, kRight = 1, kSum = 4;
  static constexpr int kNeighbours = 1;
  static constexpr int kBankShift = 16;

  __device__ static int left_row(int) { return lane() % 16; }
  __device__ static int left_k(int) { return lane() / 16; }
  __device__ static int right_k(int) { return lane() / 16; }
  __device__ static int right_column(int) { return lane() % 16; }
  __device__ static int sum_row(int i) { return lane() / 16 * 4 + i; }
  __device__ static int sum_column(int) { return lane() % 16; }

  struct Value {
    float value;
    __device__ void set(int, float x) { value = x; }
  };
  using Left = Value;
  using Right = Value;

  __device__ static void multiply_add(float (&sum)[kSum], const Left& a, const Right& b) {
    using Four = float __attribute__((ext_vector_type(4)));
    const Four c =
        __builtin_amdgcn_mfma_f32_16x16x4f32(a.value, b.value, Four{sum[0], sum[1], sum[2], sum[3]}, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < kSum; ++i) sum[i] = c[i];
  }

 private:
  __device__ static int lane() {
    return threadIdx.x % 64;
  }
};

#else

struct MatrixCore {
  static constexpr bool kPresent = false;
  static constexpr int kBankShift = 4;
};

#endif

}  // namespace hipgpt::hip
