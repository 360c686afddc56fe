#include "checks/gpu_check.h"
#include "reference/matmul.h"

using namespace exercise;
void matmul(Float* c, const Float* a, const Float* b, int m, int n, int k);

int main() {
  const int m = 128, n = 64, k = 32;
  const Values a = as_floats(random_values(m * k, 1)), b = as_floats(random_values(k * n, 2));
  const Values expected = hipgpt::reference::matmul(a, false, b, false, m, n, k);
  Counts counts;
  const bool right = right_in_every_order(counts, [&] {
    Array c(m * n), left(a), right_side(b);
    matmul(c.data(), left.data(), right_side.data(), m, n, k);
    return equal("c", c.values(), expected, n, 1e-4);
  });
  if (!right) return 1;
  // Tiles are also written, once for each value that is read from memory.
  const double multiply_adds = static_cast<double>(m) * n * k;
  const double memory = static_cast<double>(counts.reads.words) / multiply_adds;
  const double shared =
      static_cast<double>(counts.shared.words - (counts.shared.words > 0 ? counts.reads.words : 0)) /
      multiply_adds;
  char cost[100];
  std::snprintf(cost, sizeof cost, "a multiply-add reads %.3f values from memory and %.3f from shared memory",
                memory, shared);
  const char* step = "";
  if (memory > 0.2) {
    step = "let a value from memory serve a whole tile, in shared memory";
  } else if (shared > 0.6) {
    step = "let a value from shared memory serve several sums of a thread";
  }
  return finish(cost, step);
}
