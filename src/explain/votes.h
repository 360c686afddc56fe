// Votes: a logit as the sum of what each part of the model wrote into the residual stream.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "explain/forward_trace.h"

namespace hipgpt {

/// The head reads the stream x = sum_p x_p through one vector for each token v. With the statistics of the
/// final LayerNorm frozen at those of x (or rstd = 1 and d_v = W_v without one), the logit is linear in x:
///
///   d_v         = g (W_v - mean_u W_u), minus its mean over E                          [E]
///   vote(p, v)  = rstd  x_p . d_v
///   z_v - mean_u z_u  =  sum_p vote(p, v)  +  beta . (W_v - mean_u W_u)  +  b_v - mean_u b_u
///
/// g and beta are the final LayerNorm's weight and bias, b the head's bias. Votes are relative to the mean of
/// the vocabulary: what raises all logits alike changes no probability (Elhage et al., "A Mathematical
/// Framework for Transformer Circuits", 2021).
struct Votes {
  double logit = 0.0;         ///< z_v
  double mean_logit = 0.0;    ///< mean_u z_u
  std::vector<double> parts;  ///< in the order of VoteCounter::names()
  double rounding = 0.0;      ///< z_v - mean_u z_u minus the sum of parts: rounding of the device
};

class VoteCounter {
 public:
  /// Reads the head of the model. The trace must outlive the counter.
  VoteCounter(const GPTModel& model, const ForwardTrace& trace);

  /// The parts of the trace, then the biases after the stream.
  const std::vector<std::string>& names() const { return names_; }

  /// The votes for token v after token t of the sequence.
  Votes count(int64_t t, int32_t v) const;

 private:
  const ForwardTrace& trace_;
  Rows head_;                       // [V,E]
  std::vector<double> mean_;        // [E], of the rows of head_
  std::vector<float> gain_, beta_;  // [E], of the final LayerNorm, or empty
  std::vector<float> bias_;         // [V], or empty
  double mean_bias_ = 0.0;
  std::vector<std::string> names_;
};

}  // namespace hipgpt
