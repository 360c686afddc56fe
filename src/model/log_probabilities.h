// Log-probabilities of tokens, computed from the logits they were drawn from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipgpt {

struct ScoredToken {
  int32_t id;
  double logprob;  ///< ln p under the model itself, before temperature and all other Sampling options
};

/// A drawn token and the likeliest tokens at its position.
struct DrawnToken {
  ScoredToken chosen;
  std::vector<ScoredToken> likeliest;  ///< likeliest first; ties go to the smaller id
};

/// Computes ln p_i = z_i - ln sum_j exp(z_j) from logits z [V], for the drawn token and the `top` likeliest.
DrawnToken score_token(std::span<const float> logits, int32_t token, int top);

}  // namespace hipgpt
