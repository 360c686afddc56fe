// Sort, keep the likeliest, walk along the interval. See tests/exercises/sampling.cpp for the task.
// > sampling: right     done
#include <algorithm>
#include <cmath>
#include <vector>

using Values = std::vector<double>;

int sample(const Values& logits, double temperature, int top_k, double u) {
  const int V = static_cast<int>(logits.size());
  std::vector<int> order(V);
  for (int j = 0; j < V; ++j) order[j] = j;
  std::sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  order.resize(std::min(top_k, V));
  double total = 0;
  for (const int j : order) total += std::exp((logits[j] - logits[order[0]]) / temperature);
  for (const int j : order) {
    u -= std::exp((logits[j] - logits[order[0]]) / temperature) / total;
    if (u < 0) return j;
  }
  return order.back();  // rounding: the parts add up to a little less than 1
}
