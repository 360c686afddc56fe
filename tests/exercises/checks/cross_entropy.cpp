#include "reference/softmax_cross_entropy.h"

#include "checks/check.h"

using exercise::Values;
void cross_entropy(const Values& logits, const std::vector<int>& targets, int rows, int V, Values& losses);

int main() {
  const int rows = 40, V = 50;
  Values logits = exercise::random_values(rows * V, 1, 0, 3);
  for (int j = 0; j < V; ++j) logits[j] += 1000;  // row 0
  std::vector<int> targets;
  for (int i = 0; i < rows; ++i) targets.push_back(i * 7 % V);
  Values losses = exercise::unwritten(rows);
  cross_entropy(logits, targets, rows, V, losses);
  return exercise::finish(
      exercise::equal("losses", losses, hipgpt::reference::cross_entropy(logits, targets)));
}
