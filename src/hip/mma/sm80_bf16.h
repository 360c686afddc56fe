// The bf16 atom of NVIDIA's sm_80 and later: two mma.m16n8k16, with sums in fp32. NVIDIA's PTX manual,
// sections mma.m16n8k16 and ldmatrix, lists which lane holds which element.
#pragma once

#include "hip/bf16.h"
#include "hip/mma/emulated.h"

namespace hipgpt::hip {

/// C [kM,kN] += A [kM,kK] B [kK,kN] by 32 lanes: how many elements of each matrix a lane holds, and which.
struct Sm80Bf16Atom {
  static constexpr int kM = 16, kN = 16, kK = 16, kLanes = 32;
  static constexpr int kLeft = 8, kRight = 8, kSum = 8;  // elements per lane
  static constexpr int kNeighbours = 2;                  // sums of a lane that are adjacent in C
  static constexpr bool kReadAhead = false, kPacked = false;
  static constexpr int kStagePad = 2;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  static constexpr bool kLoadsMatrices = true;
#else
  static constexpr bool kLoadsMatrices = false;
#endif

  // Elements 4 to 7 of the right operand and of the sums belong to the second instruction.
  __device__ static int left_row(int lane, int i) {
    return lane / 4 + i / 2 % 2 * 8;
  }
  __device__ static int left_k(int lane, int i) {
    return lane % 4 * 2 + i % 2 + i / 4 * 8;
  }
  __device__ static int right_k(int lane, int i) {
    return lane % 4 * 2 + i % 2 + i / 2 % 2 * 8;
  }
  __device__ static int right_column(int lane, int i) {
    return lane / 4 + i / 4 * 8;
  }
  __device__ static int sum_row(int lane, int i) {
    return lane / 4 + i / 2 % 2 * 8;
  }
  __device__ static int sum_column(int lane, int i) {
    return lane % 4 * 2 + i % 2 + i / 4 * 8;
  }

  // The sums of a lane are in kLaneRows rows, and kRowLanes lanes share each row, kRowStride apart. Of a
  // lane's sums, kOfFour that follow each other are in the same four columns.
  static constexpr int kOfFour = 2;
  static constexpr int kLaneRows = 2, kRowLanes = 4, kRowStride = 1;
  __device__ static int lane_row(int i) {
    return i / 2 % 2;
  }

  /// Eight bf16, in pairs.
  struct Operand {
    uint32_t pairs[4];

    /// x must be a bf16.
    __device__ void set(int i, float x) {
      const uint32_t half = __float_as_uint(x) >> 16;
      pairs[i / 2] = i % 2 == 0 ? half : pairs[i / 2] | half << 16;
    }
  };
  using Left = Operand;
  using Right = Operand;

  __device__ static float result(float sum) {
    return sum;
  }

  /// Sums, rounded to bf16, as the left operand of another product: sum_row and left_row are equal, and so
  /// are sum_column and left_k.
  __device__ static Left as_left(const float (*sums)[kSum]) {
    Left left;
    Vec<float, kSum> floats;
#pragma unroll
    for (int i = 0; i < kSum; ++i) floats[i] = sums[0][i];
    const Vec<bf16, kSum> rounded = from_floats<bf16>(floats);
#pragma unroll
    for (int i = 0; i < kSum / 2; ++i)
      left.pairs[i] = rounded[2 * i].bits | static_cast<uint32_t>(rounded[2 * i + 1].bits) << 16;
    return left;
  }

  __device__ static void multiply_add(float (&sum)[kSum], const Left& a, const Right& b) {
    multiply(&sum[0], a.pairs, b.pairs[0], b.pairs[1]);
    multiply(&sum[4], a.pairs, b.pairs[2], b.pairs[3]);
  }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  /// ldmatrix loads four 8x8 matrices. Lane l gives the address of row l % 8 of matrix l / 8, eight
  /// neighbours, and receives two elements of each matrix. The matrices are those of left_row and left_k.
  template <typename Tile>
  __device__ static void load_left(Left& left, const Tile& tile, int k, int row, int lane) {
    const int eight = lane % 8, k8 = lane / 16 * 8, row8 = lane / 8 % 2 * 8;
    if constexpr (Tile::kAlongK) {
      load<false>(left, tile.unit(k + k8, row + row8 + eight));
    } else {
      load<true>(left, tile.unit(k + k8 + eight, row + row8));
    }
  }
  template <typename Tile>
  __device__ static void load_right(Right& right, const Tile& tile, int k, int column, int lane) {
    const int eight = lane % 8, k8 = lane / 8 % 2 * 8, column8 = lane / 16 * 8;
    if constexpr (Tile::kAlongK) {
      load<false>(right, tile.unit(k + k8, column + column8 + eight));
    } else {
      load<true>(right, tile.unit(k + k8 + eight, column + column8));
    }
  }

 private:
  template <bool kTransposed>
  __device__ static void load(Operand& operand, const vec4* unit) {
    uint32_t(&r)[4] = operand.pairs;
    const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(unit));
    if constexpr (kTransposed) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                   : "r"(address));
    } else {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                   : "r"(address));
    }
  }
  __device__ static void multiply(float* c, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
#else
 private:
  __device__ static void multiply(float* c, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    emulated_mma_m16n8k16(c, a, b0, b1);
  }
#endif
};

}  // namespace hipgpt::hip
