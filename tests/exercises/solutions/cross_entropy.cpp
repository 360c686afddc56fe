// Subtracting the largest logit leaves exp() in range. See tests/exercises/cross_entropy.cpp for the task.
// > cross_entropy: right     done
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void cross_entropy(const Values& logits, const std::vector<int>& targets, int rows, int V, Values& losses) {
  for (int i = 0; i < rows; ++i) {
    const double* z = &logits[i * V];
    double largest = z[0];
    for (int j = 1; j < V; ++j) largest = std::fmax(largest, z[j]);
    double total = 0;
    for (int j = 0; j < V; ++j) total += std::exp(z[j] - largest);
    losses[i] = largest + std::log(total) - z[targets[i]];
  }
}
