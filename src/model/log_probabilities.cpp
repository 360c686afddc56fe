#include "model/log_probabilities.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hipgpt {

DrawnToken score_token(std::span<const float> logits, int32_t token, int top) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double total = 0.0;
  for (const float z : logits) total += std::exp(z - largest);
  const double log_total = largest + std::log(total);
  const auto scored = [&](int32_t id) {
    return ScoredToken{id, logits[static_cast<size_t>(id)] - log_total};
  };

  std::vector<int32_t> ids(top > 0 ? logits.size() : 0);
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + static_cast<ptrdiff_t>(std::min(ids.size(), static_cast<size_t>(top)));
  std::partial_sort(ids.begin(), end, ids.end(), [&](int32_t a, int32_t b) {
    const float za = logits[static_cast<size_t>(a)], zb = logits[static_cast<size_t>(b)];
    return za != zb ? za > zb : a < b;
  });
  DrawnToken drawn{scored(token), {}};
  std::transform(ids.begin(), end, std::back_inserter(drawn.likeliest), scored);
  return drawn;
}

}  // namespace hipgpt
