// Products of a few rows with a weight stored [out,in], for generation.
//
// A product of one row reads each weight once, so the memory's speed is its limit: 2 out operations for each
// of 4, 2 or 1.06 bytes in fp32, bf16 or int8. The kernels convert weights to fp32 in registers.
#pragma once

#include <cstdint>

#include "cpu/vector_level.h"
#include "tensor.h"

namespace hipgpt::cpu {

/// y[r,j] = sum_k weight[j,k] x[r,k].   weight fp32, bf16 or int8 [out,in], x [rows,in], y [rows,out] whose
/// rows begin `pitch` floats apart.
struct Matvec {
  float* y;
  int64_t pitch;
  const float* x;
  int64_t rows;
  Tensor weight;

  /// Computes columns [begin, end) of y. The result depends on the level, but not on begin and end.
  void columns(int64_t begin, int64_t end, VectorLevel level = vector_level()) const;
};

}  // namespace hipgpt::cpu
