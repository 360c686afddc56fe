// Products of a few rows with a weight stored [out,in], for generation.
//
// A product of one row reads each weight once, so the memory's speed is its limit: 2 out operations for each
// of 4, 2 or 1.06 bytes in fp32, bf16 or int8. The kernels convert fp32 and bf16 weights to fp32 in registers.
// For an int8 weight they round x to int8 as well, with a scale for each group, and sum the products of a group
// as integers: one instruction multiplies 32 (AVX2) or 64 (AVX-512 VNNI) weights.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/vector_level.h"
#include "tensor.h"

namespace hipgpt::cpu {

/// 64 adjacent values of a row of x, each nearly scale * values[i].
struct RoundedGroup {
  float scale;
  int32_t sum;  // of the values
  int8_t values[Int8Group::kSize];
};

/// The groups of a row x [in], the last one filled with zeros: scale = max_k |x_k| / 127, values[i] the integer
/// nearest to x_i / scale. A group of magnitudes below 1e-30 becomes zeros. Where x is not finite, so is a
/// scale.
void round_row(RoundedGroup* groups, const float* x, int64_t in);

/// y[r,j] = sum_k weight[j,k] x[r,k].   weight fp32, bf16 or int8 [out,in], x [rows,in], y [rows,out] whose
/// rows begin `pitch` floats apart. With an int8 weight, x is rounded as round_row() does, so that an element of
/// a group contributes an error of at most |weight[j,k]| scale / 2.
class Matvec {
 public:
  /// Rounds x for an int8 weight. The memory of the arguments must outlive the Matvec.
  Matvec(float* y, int64_t pitch, const float* x, int64_t rows, Tensor weight);

  /// Computes columns [begin, end) of y. The result depends on the level, but not on begin and end.
  void columns(int64_t begin, int64_t end, VectorLevel level = vector_level()) const;

 private:
  template <typename Weight, typename X>
  void columns(const Weight* weight, const X* x, int64_t x_pitch, int64_t begin, int64_t end,
               VectorLevel level) const;

  float* y_;
  int64_t pitch_;
  const float* x_;
  int64_t rows_;
  Tensor weight_;
  std::vector<RoundedGroup> rounded_;  // x, if the weight is int8
};

}  // namespace hipgpt::cpu
