// Draws a token from its logits.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "device.h"
#include "philox.h"
#include "reference/values.h"

namespace hipgpt::reference {

/// A token that can be drawn. The probabilities of all candidates sum to 1.
struct Candidate {
  int32_t token;
  double probability;
};

/// Returns the candidates, likeliest first; ties go to the smaller token.   logits [V], seen [V].
/// The steps are, in this order:
///   1. repetition penalty: the logit of a token seen before is divided by it if positive, else multiplied
///      (Keskar et al., arXiv:1909.05858, 2019)
///   2. temperature 0: only the likeliest token is left, with probability 1
///   3. top-k: only the k likeliest are left; 0 leaves all (Fan et al., ACL 2018)
///   4. softmax of logit / temperature over the remaining tokens
///   5. top-p: only the shortest head of the list whose probabilities reach top_p is left
///      (Holtzman et al., ICLR 2020).
inline std::vector<Candidate> sampling_candidates(const Values& logits, const std::vector<int32_t>& seen,
                                                  const Sampling& options) {
  std::vector<std::pair<double, int32_t>> order;  // by -logit, then by token
  for (size_t i = 0; i < logits.size(); ++i) {
    const double z = logits[i], penalty = seen[i] != 0 ? options.repetition_penalty : 1;
    order.emplace_back(z > 0 ? -z / penalty : -z * penalty, static_cast<int32_t>(i));
  }
  std::sort(order.begin(), order.end());
  if (options.temperature == 0) return {{order[0].second, 1}};
  if (options.top_k > 0 && order.size() > static_cast<size_t>(options.top_k)) order.resize(options.top_k);

  double total = 0, reached = 0;
  for (const auto& [minus_logit, token] : order) {
    total += std::exp((order[0].first - minus_logit) / options.temperature);
  }
  std::vector<Candidate> head;
  for (const auto& [minus_logit, token] : order) {
    if (!head.empty() && reached >= options.top_p) break;
    head.push_back({token, std::exp((order[0].first - minus_logit) / options.temperature) / total});
    reached += head.back().probability;
  }
  for (Candidate& candidate : head) candidate.probability /= reached;
  return head;
}

/// Returns draw n of a seed's stream, uniform in [0, 1): the upper 53 of Philox's 64 bits.
inline double uniform_draw(uint64_t seed, int32_t stream, int32_t n) {
  const auto bits = philox4x32({static_cast<uint32_t>(n), static_cast<uint32_t>(stream), 0,
                                static_cast<uint32_t>(RandomUse::kSampling)},
                               philox_key(seed));
  return static_cast<double>(join_bits(bits[0], bits[1]) >> 11) * 0x1p-53;
}

/// Returns the candidate into whose part of [0, 1) the draw falls. Candidates 0, 1, ... each have a part as
/// long as their probability.
inline int32_t sample(const Values& logits, const std::vector<int32_t>& seen, int32_t stream, int32_t n,
                      const Sampling& options) {
  const auto candidates = sampling_candidates(logits, seen, options);
  double left = uniform_draw(options.seed, stream, n);
  for (const Candidate& candidate : candidates) {
    left -= candidate.probability;
    if (left < 0) return candidate.token;
  }
  return candidates.back().token;  // rounding: the parts add up to a little less than 1
}

}  // namespace hipgpt::reference
