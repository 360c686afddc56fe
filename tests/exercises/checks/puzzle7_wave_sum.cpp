#include "checks/gpu_check.h"

using namespace exercise;
void wave_sum(Float* y, const Float* x);

int main() {
  const int n = 512;
  const Values x = as_floats(random_values(n, 1));
  Values expected(n / warpSize);
  for (int i = 0; i < n; ++i) expected[i / warpSize] += x[i];
  Counts counts;
  const bool right = right_in_every_order(counts, [&] {
    Array y(n / warpSize), input(x);
    wave_sum(y.data(), input.data());
    return equal("y", y.values(), expected, 0, 1e-4);
  });
  if (!right) return 1;
  return finish("", counts.shared.words == 0 ? "" : "add by shuffles, without shared memory");
}
