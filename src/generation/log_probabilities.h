// Log-probabilities of tokens, from the logits that they were drawn from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipgpt {

struct ScoredToken {
  int32_t id;
  double logprob;  ///< ln p, p the model's own: before temperature, penalties and everything else of Sampling
};

/// A token that was drawn, and the tokens that were likeliest in its place.
struct DrawnToken {
  ScoredToken chosen;
  std::vector<ScoredToken> likeliest;  ///< the likeliest first, of equal ones the smaller id
};

/// ln p_i = z_i - ln sum_j exp(z_j) of logits z [V], for the token that was drawn and the `top` likeliest.
DrawnToken score_token(std::span<const float> logits, int32_t token, int top);

}  // namespace hipgpt
