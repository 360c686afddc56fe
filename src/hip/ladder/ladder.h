// Three ladders: LayerNorm, the matrix product and attention, from the first kernel that is right to the last
// step before the library's own. Each rung changes one thing. The guide climbs them in src/hip/README.md,
// matrix_products.md and attention.md; tests/bench/ladder_bench measures them. The library does not use them.
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

/// Causal attention: out [B,T,E] from qkv [B,T,3E], E = H D.   `scratch` [B,H,T,T]; D is 32, 64 or 128.
struct AttentionRung {
  const char* name;
  void (*run)(float* out, float* scratch, const float* qkv, int B, int T, int H, int D);
};

std::span<const LayerNormRung> layernorm_rungs();
std::span<const MatmulRung> matmul_rungs();
std::span<const AttentionRung> attention_rungs();

/// Waits for everything on the GPU. Throws HipError if a rung failed.
void wait();

}  // namespace hipgpt::hip::ladder
