// The next token: the model's probabilities, and those with which the sampler draws.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "operands.h"

namespace hipgpt {

struct TokenChance {
  int32_t id = 0;
  double logit = 0.0;
  double probability = 0.0;  ///< softmax of the logits
  double drawn = 0.0;        ///< after the sampling options
};

/// Every token, likeliest first by the model; ties go to the smaller id. The steps of Sampling are those of
/// Device::sample: repetition penalty for the tokens in `seen`, temperature, top-k, softmax, top-p.
std::vector<TokenChance> token_chances(std::span<const float> logits, std::span<const int32_t> seen,
                                       const Sampling& options);

}  // namespace hipgpt
