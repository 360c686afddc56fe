#include "checks/gpu_check.h"
#include "reference/layernorm.h"

using namespace exercise;
void layernorm(Float* y, const Float* x, const Float* w, const Float* b, int rows, int E);

int main() {
  const int rows = 100, E = 128;
  const Values x = as_floats(random_values(rows * E, 1, 2, 3)), w = as_floats(random_values(E, 2, 1, 0.2)),
               b = as_floats(random_values(E, 3));
  const Values expected = hipgpt::reference::layernorm(x, w, b);
  Counts counts;
  const bool right = right_in_every_order(counts, [&] {
    Array y(rows * E), input(x), weight(w, false), bias(b, false);
    layernorm(y.data(), input.data(), weight.data(), bias.data(), rows, E);
    return equal("y", y.values(), expected, E, 1e-4);
  });
  if (!right) return 1;
  return finish(lines_text("reads", counts.reads) + ", each x " +
                    decimal(static_cast<double>(counts.reads.words) / (rows * E)) + " times",
                coalesced(counts.reads) ? "" : "let the lanes of a wave read neighbours of one row");
}
