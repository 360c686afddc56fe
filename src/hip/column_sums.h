// Sums of the columns of a matrix, in an order that depends on its shape alone: the gradients of biases.
#pragma once

#include "hip/vec.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

/// Where sums of `width` columns go, and of as many columns further on in the same rows.
struct SumsTo {
  float* sums[3];
  int width;
};

/// Adds the sums of the columns of `parts` [count, k width], where k sums are given.
void add_partial_sums(const Stream& stream, const SumsTo& to, const float* parts, int count);

/// sums[j] += sum_i x[i,j].   x [m,n] in fp32 or bf16, whose rows may have a pitch.
void add_column_sums(const Stream& stream, Tensor sums, Tensor x);

}  // namespace hipgpt::hip
