// Sampler: from logits to the next token.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace hipgpt {

struct SamplingOptions {
  int top_k = 5;             ///< only the k likeliest tokens; 0: all
  double top_p = 1.0;        ///< only the likeliest tokens that together reach this probability
  double temperature = 1.0;  ///< logits are divided by it; 0: always the likeliest token
  double repetition_penalty =
      1.0;  ///< logits of tokens seen before are divided by it if positive, else multiplied
  uint64_t seed = 0;
};

/// Applies, in this order: repetition penalty (Keskar et al., 2019), temperature, top-k (Fan et al., 2018)
/// and top-p (Holtzman et al., 2020), and draws. Draw n is a function of (seed, n). Of equal logits the
/// smaller id is first.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options) : options_(options) {}

  /// A token for these logits [V], after the tokens of `context`. Error if a logit is not finite.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> context);

 private:
  using Candidate = std::pair<float, int32_t>;  // logit, id

  void penalize_repetition(std::span<const int32_t> context);
  int32_t draw();

  SamplingOptions options_;
  uint64_t draws_ = 0;
  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
  std::vector<bool> seen_;
};

}  // namespace hipgpt
