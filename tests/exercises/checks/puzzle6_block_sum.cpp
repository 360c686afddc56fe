#include "checks/gpu_check.h"

using namespace exercise;
void block_sum(Float* y, const Float* x);

int main() {
  const int blocks = 4;
  const Values x = as_floats(random_values(blocks * 256, 1));
  Values expected(blocks);
  for (size_t i = 0; i < x.size(); ++i) expected[i / 256] += x[i];
  Counts counts;
  const bool right = right_in_every_order(counts, [&] {
    Array y(blocks), input(x);
    block_sum(y.data(), input.data());
    return equal("y", y.values(), expected, 0, 1e-4);
  });
  if (!right) return 1;
  return finish(turns_text(counts.shared),
                counts.shared.turns_each() < 1.1 ? "" : "let the threads that add use neighbouring words");
}
