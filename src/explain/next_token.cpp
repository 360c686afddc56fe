#include "explain/next_token.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hipgpt {

namespace {

/// Indices of values, the largest first; ties go to the smaller index.
template <typename Values>
std::vector<int32_t> by_size(const Values& values) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater{}, [&](int32_t i) { return values[static_cast<size_t>(i)]; });
  return order;
}

/// exp(z) for the first of these tokens and those after it, in order, over their sum.
std::vector<double> softmax(const std::vector<double>& logits, std::span<const int32_t> ids,
                            double temperature) {
  std::vector<double> p;
  for (const int32_t id : ids) {
    p.push_back(
        std::exp((logits[static_cast<size_t>(id)] - logits[static_cast<size_t>(ids[0])]) / temperature));
  }
  const double total = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& value : p) value /= total;
  return p;
}

}  // namespace

std::vector<TokenChance> token_chances(std::span<const float> logits, std::span<const int32_t> seen,
                                       const Sampling& options) {
  std::vector<double> z(logits.begin(), logits.end());
  const std::vector<int32_t> order = by_size(z);
  const std::vector<double> p = softmax(z, order, 1.0);

  std::vector<bool> was_seen(z.size());
  for (const int32_t id : seen) was_seen[static_cast<size_t>(id)] = true;
  for (size_t i = 0; i < z.size(); ++i) {
    if (was_seen[i])
      z[i] = z[i] > 0.0 ? z[i] / options.repetition_penalty : z[i] * options.repetition_penalty;
  }
  std::vector<int32_t> kept = by_size(z);
  if (options.temperature == 0.0) kept.resize(1);
  if (options.top_k > 0 && kept.size() > static_cast<size_t>(options.top_k)) {
    kept.resize(static_cast<size_t>(options.top_k));
  }
  const std::vector<double> q = softmax(z, kept, options.temperature == 0.0 ? 1.0 : options.temperature);
  size_t count = 0;
  double reached = 0.0;
  while (count < q.size() && (count == 0 || reached < options.top_p)) reached += q[count++];
  std::vector<double> drawn(z.size(), 0.0);
  for (size_t i = 0; i < count; ++i) drawn[static_cast<size_t>(kept[i])] = q[i] / reached;

  std::vector<TokenChance> chances;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto id = static_cast<size_t>(order[i]);
    chances.push_back({order[i], logits[id], p[i], drawn[id]});
  }
  return chances;
}

}  // namespace hipgpt
