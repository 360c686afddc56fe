// Two ladders: LayerNorm and the matrix product, from the first kernel that is right to the last step before
// the library's own. Each rung changes one thing. The guide climbs them in src/hip/README.md and
// src/hip/matrix_products.md; tests/bench/ladder_bench measures them. The library does not use them.
//
// A rung runs on the GPU's default stream and returns at once. All arrays are in device memory.
#pragma once

#include <span>

namespace hipgpt::hip::ladder {

/// y = (x - mean) rstd w + b for each row.   x, y [rows,E]; w, b [E]; E at most 1024 and a multiple of 4.
struct LayerNormRung {
  const char* name;
  void (*run)(float* y, const float* x, const float* w, const float* b, int rows, int E);
};

/// C = A B.   A [m,k], B [k,n], C [m,n]; m and n multiples of 128, k of 32.
struct MatmulRung {
  const char* name;
  void (*run)(float* c, const float* a, const float* b, int m, int n, int k);
};

std::span<const LayerNormRung> layernorm_rungs();
std::span<const MatmulRung> matmul_rungs();

/// Waits for everything on the GPU. Throws HipError if a rung failed.
void wait();

}  // namespace hipgpt::hip::ladder
