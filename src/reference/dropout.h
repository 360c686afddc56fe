// Inverted dropout (Srivastava et al., JMLR 2014) with its residual connection.
#pragma once

#include "philox.h"
#include "reference/values.h"

namespace hipgpt::reference {

/// Identifies a dropout within a forward pass.
struct DropoutPlace {
  double p;       ///< probability of zeroing an element, in [0, 1)
  uint64_t seed;  ///< of the run
  uint32_t pass;  ///< counts forward passes
  uint32_t site;  ///< counts the dropouts of a model
};

/// Returns 0 with probability p and otherwise 1/(1-p), so that the expected value of the product is the
/// element itself. It has no state: an element is zeroed if word column % 4 of the Philox block of
/// (column / 4, row, pass, site) is below p 2^32.
inline double dropout_factor(const DropoutPlace& place, int64_t row, int64_t column) {
  const uint32_t use = static_cast<uint32_t>(RandomUse::kDropout) | place.site << 8;
  const auto bits =
      philox4x32({static_cast<uint32_t>(column / 4), static_cast<uint32_t>(row), place.pass, use},
                 philox_key(place.seed));
  return bits[column % 4] < static_cast<uint32_t>(place.p * 0x1p32) ? 0 : 1 / (1 - place.p);
}

/// y = x + f * branch with the factors f of dropout.   x (or none), branch, y [rows,E].
inline Values add_dropout(const Values& x, const Values& branch, int64_t E, const DropoutPlace& place) {
  Values y(branch.size());
  for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) {
    y[i] = (x.empty() ? 0 : x[i]) + dropout_factor(place, i / E, i % E) * branch[i];
  }
  return y;
}

/// dbranch = f * dy, with the same factors; dx = dy.   dy [rows,E].
inline Values dropout_backward(const Values& dy, int64_t E, const DropoutPlace& place) {
  return add_dropout({}, dy, E, place);
}

}  // namespace hipgpt::reference
