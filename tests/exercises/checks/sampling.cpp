#include "reference/sampling.h"

#include "checks/check.h"

using exercise::Values;
int sample(const Values& logits, double temperature, int top_k, double u);

/// Draws, and compares each token's frequency with its probability p: 5 standard deviations are allowed.
static bool right_frequencies(const Values& logits, double temperature, int top_k) {
  const int V = static_cast<int>(logits.size()), draws = 100000;
  Values frequency(V), expected(V);
  std::mt19937_64 generator(1);
  for (int i = 0; i < draws; ++i) {
    const double u = static_cast<double>(generator() >> 11) * 0x1p-53;
    const int token = sample(logits, temperature, top_k, u);
    if (token < 0 || token >= V) {
      std::printf("sampling: token %d was drawn; only 0 to %d exist\n", token, V - 1);
      return false;
    }
    frequency[token] += 1.0 / draws;
  }
  hipgpt::Sampling options;
  options.top_k = top_k;
  options.temperature = temperature;
  for (const auto& candidate :
       hipgpt::reference::sampling_candidates(logits, std::vector<int32_t>(V, 0), options))
    expected[candidate.token] = candidate.probability;
  for (int j = 0; j < V; ++j) {
    const double p = expected[j];
    if (std::abs(frequency[j] - p) <= 5 * std::sqrt(p * (1 - p) / draws) + 1e-9) continue;
    std::printf(
        "sampling: at temperature %g and top_k %d, token %d was drawn in %.2f %% of the draws, and should be "
        "in "
        "%.2f %%\n",
        temperature, top_k, j, 100 * frequency[j], 100 * p);
    return false;
  }
  return true;
}

int main() {
  const Values logits = {1.0, -0.5, 2.0, 0.25, 3.0, -2.0, 1.5, 0.0, -1.0, 2.5};
  return exercise::finish(right_frequencies(logits, 1, 10) && right_frequencies(logits, 0.5, 10) &&
                          right_frequencies(logits, 2, 3) && right_frequencies(logits, 0.01, 5));
}
