// Matrix products of one thread with this processor's widest instructions: fp32 with AVX-512, bf16 with AMX.
#pragma once

#include <cstdint>

#include "cpu/vector_level.h"

namespace hipgpt::cpu {

/// C = op(A) op(B), or C += op(A) op(B), with C [m,n], op(A) [m,k], op(B) [k,n], where op may transpose. Sums
/// are fp32. Rows begin lda, ldb and ldc elements apart in memory.
template <typename T>
struct Gemm {
  float* c;
  const T *a, *b;
  int64_t m, n, k;
  int64_t lda, ldb, ldc;
  bool transpose_a = false, transpose_b = false, accumulate = false;
};

/// Computes a product if `level` has kernels for it, else returns false and changes nothing. The result depends
/// on the level. fp32 needs kAVX512. bf16, given as bit patterns, needs kAMX; with kAVX512, its operands are
/// widened to fp32.
bool gemm(const Gemm<float>& p, VectorLevel level = vector_level());
bool gemm(const Gemm<uint16_t>& p, VectorLevel level = vector_level());

/// Whether gemm() multiplies bf16. If not, an operation works on fp32 copies.
inline bool multiplies_bf16() {
  return vector_level() >= VectorLevel::kAVX512;
}

}  // namespace hipgpt::cpu
