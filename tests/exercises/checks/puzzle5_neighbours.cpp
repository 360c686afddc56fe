#include "checks/gpu_check.h"

using namespace exercise;
void add_neighbours(Float* y, const Float* x);

int main() {
  const int n = 512;
  const Values x = as_floats(random_values(n, 1));
  Values expected;
  for (int i = 0; i < n; ++i) expected.push_back(x[i] + x[i / 128 * 128 + (i + 1) % 128]);
  Counts counts;
  const bool right = right_in_every_order(counts, [&] {
    Array y(n), input(x);
    add_neighbours(y.data(), input.data());
    return equal("y", y.values(), expected, 0, 1e-5);
  });
  if (!right) return 1;
  return finish("reads each x " + decimal(static_cast<double>(counts.reads.words) / n) + " times",
                counts.reads.words <= n ? "" : "read each x once, and its neighbour from shared memory");
}
