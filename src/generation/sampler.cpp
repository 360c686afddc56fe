#include "sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "philox.h"

namespace hipgpt {

namespace {

bool likelier(const std::pair<float, int32_t>& a, const std::pair<float, int32_t>& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

}  // namespace

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> context) {
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) {
      throw Error(fmt::format("the model's logit of token {} is not a finite number: it is broken", i));
    }
    candidates_[i] = {logits[i], static_cast<int32_t>(i)};
  }
  if (options_.repetition_penalty != 1.0) penalize_repetition(context);
  if (options_.temperature == 0.0) {
    return std::min_element(candidates_.begin(), candidates_.end(), likelier)->second;
  }
  const auto k = static_cast<size_t>(options_.top_k);
  if (k > 0 && k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(k), candidates_.end(),
                     likelier);
    candidates_.resize(k);
  }
  std::sort(candidates_.begin(), candidates_.end(), likelier);
  return draw();
}

void Sampler::penalize_repetition(std::span<const int32_t> context) {
  const auto penalty = static_cast<float>(options_.repetition_penalty);
  seen_.assign(candidates_.size(), false);
  for (const int32_t id : context) {
    if (seen_[static_cast<size_t>(id)]) continue;
    seen_[static_cast<size_t>(id)] = true;
    float& logit = candidates_[static_cast<size_t>(id)].first;
    logit = logit > 0.0f ? logit / penalty : logit * penalty;
  }
}

/// From candidates sorted by logit: softmax with temperature, the smallest head of them that reaches top_p,
/// and one of those with its probability.
int32_t Sampler::draw() {
  weights_.resize(candidates_.size());
  double total = 0.0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    weights_[i] =
        std::exp((static_cast<double>(candidates_[i].first) - candidates_[0].first) / options_.temperature);
    total += weights_[i];
  }
  double kept = 0.0;
  size_t count = 0;
  while (count < weights_.size() && (count == 0 || kept < options_.top_p * total)) kept += weights_[count++];

  const uint64_t n = draws_++;
  const auto bits = philox4x32({static_cast<uint32_t>(n), static_cast<uint32_t>(n >> 32), 0,
                                static_cast<uint32_t>(RandomUse::kSampling)},
                               philox_key(options_.seed));
  double remaining = static_cast<double>(join_bits(bits[0], bits[1]) >> 11) * 0x1p-53 * kept;
  for (size_t i = 0; i < count; ++i) {
    remaining -= weights_[i];
    if (remaining < 0.0) return candidates_[i].second;
  }
  return candidates_[count - 1].second;
}

}  // namespace hipgpt
