// The loss: cross-entropy of a softmax, in nats.
#pragma once

#include <algorithm>
#include <cmath>

#include "reference/values.h"

namespace hipgpt::reference {

/// log sum_j exp(z[j]) of a row of V logits. Subtracting the largest first keeps exp() in range.
inline double log_sum_exp(const double* row, int64_t V) {
  const double largest = *std::max_element(row, row + V);
  double total = 0;
  for (int64_t j = 0; j < V; ++j) total += std::exp(row[j] - largest);
  return largest + std::log(total);
}

/// losses[i] = -log softmax(z[i])[target[i]] = log sum_j exp(z[i,j]) - z[i,target[i]].
/// logits z [rows,V], targets [rows], losses [rows].
inline Values cross_entropy(const Values& logits, const std::vector<int32_t>& targets) {
  const auto rows = static_cast<int64_t>(targets.size()), V = static_cast<int64_t>(logits.size()) / rows;
  Values losses(rows);
  for (int64_t i = 0; i < rows; ++i) losses[i] = log_sum_exp(&logits[i * V], V) - logits[i * V + targets[i]];
  return losses;
}

/// The gradient of scale * sum_i losses[i]:   dz[i,j] = scale (softmax(z[i])[j] - [j = target[i]]).
inline Values cross_entropy_backward(const Values& logits, const std::vector<int32_t>& targets,
                                     double scale = 1) {
  const auto rows = static_cast<int64_t>(targets.size()), V = static_cast<int64_t>(logits.size()) / rows;
  Values dz(logits.size());
  for (int64_t i = 0; i < rows; ++i) {
    const double lse = log_sum_exp(&logits[i * V], V);
    for (int64_t j = 0; j < V; ++j) {
      dz[i * V + j] = scale * (std::exp(logits[i * V + j] - lse) - (j == targets[i] ? 1 : 0));
    }
  }
  return dz;
}

}  // namespace hipgpt::reference
