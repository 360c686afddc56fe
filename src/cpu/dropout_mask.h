// Which elements a dropout keeps: a pure function of (seed, micro_step, site, row, column).
#pragma once

#include <cstdint>

#include "operands.h"
#include "philox.h"

namespace hipgpt::cpu {

/// factor[j] = 1/(1-p) where element (row, j) is kept and 0 where it is dropped, for j in [0, n).
/// One Philox block serves four columns. Without dropout, all factors are 1.
inline void dropout_factors(float* factor, int64_t n, int64_t row, const Dropout& dropout) {
  const float scale = 1.0f / (1.0f - dropout.p);
  const auto threshold = static_cast<uint32_t>(static_cast<double>(dropout.p) * 4294967296.0);
  const uint32_t micro_step = dropout.p > 0.0f ? static_cast<uint32_t>(*dropout.micro_step.i32()) : 0;
  const auto use = static_cast<uint32_t>(RandomUse::kDropout) | dropout.site << 8;
  for (int64_t j = 0; j < n; j += 4) {
    const auto bits = philox4x32({static_cast<uint32_t>(j / 4), static_cast<uint32_t>(row), micro_step, use},
                                 philox_key(dropout.seed));
    for (int64_t lane = 0; lane < 4 && j + lane < n; ++lane) {
      factor[j + lane] = bits[static_cast<size_t>(lane)] < threshold ? 0.0f : scale;
    }
  }
}

}  // namespace hipgpt::cpu
