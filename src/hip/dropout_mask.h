// Dropout masks for kernels: the same function of (seed, micro_step, site, row, column) as in
// src/cpu/dropout_mask.h.
#pragma once

#include "device.h"
#include "hip/vec.h"

namespace hipgpt::hip {

/// A Dropout in the form that kernels take.
struct DropoutMask {
  float p, scale;  // 1/(1-p)
  uint32_t threshold, key0, key1, use;
  const int32_t* pass;

  explicit DropoutMask(const Dropout& d)
      : p(d.p),
        scale(1.0f / (1.0f - d.p)),
        threshold(static_cast<uint32_t>(static_cast<double>(d.p) * 4294967296.0)),
        key0(static_cast<uint32_t>(d.seed)),
        key1(static_cast<uint32_t>(d.seed >> 32)),
        use(static_cast<uint32_t>(RandomUse::kDropout) | d.site << 8),
        pass(d.p > 0.0f ? d.micro_step.i32() : nullptr) {}

  /// The factors, 0 or 1/(1-p), of a row's kCount elements that start at `column`, a multiple of kCount.
  template <int kCount>
  __device__ Vec<float, kCount> factors(uint32_t row, int column) const {
    Vec<float, kCount> all;
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
      const vec4 four = factors(row, static_cast<uint32_t>((column + i) / 4));
#pragma unroll
      for (int e = 0; e < 4; ++e) all[i + e] = four[e];
    }
    return all;
  }

  /// The same for the four elements that start at column 4 `column4`.
  __device__ vec4 factors(uint32_t row, uint32_t column4) const {
    const uint32_t bits = kept(row, column4);
    return {factor(bits), factor(bits >> 1), factor(bits >> 2), factor(bits >> 3)};
  }

  /// The same four elements as bits, the lowest first: 1 if an element is kept.
  __device__ uint32_t kept(uint32_t row, uint32_t column4) const {
    uint32_t x[4] = {column4, row, static_cast<uint32_t>(*pass), use};
    philox4x32_10(x, key0, key1);
    return (x[0] >= threshold ? 1u : 0u) | (x[1] >= threshold ? 2u : 0u) | (x[2] >= threshold ? 4u : 0u) |
           (x[3] >= threshold ? 8u : 0u);
  }

  /// The factor of an element from its bit, the lowest of `bits`.
  __device__ float factor(uint32_t bits) const { return (bits & 1u) != 0 ? scale : 0.0f; }
};

}  // namespace hipgpt::hip
