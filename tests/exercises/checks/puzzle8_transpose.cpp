#include "checks/gpu_check.h"

using namespace exercise;
void transpose(Float* y, const Float* x, int rows, int columns);

int main() {
  const int rows = 96, columns = 64;
  const Values x = as_floats(random_values(rows * columns, 1));
  Values expected(rows * columns);
  for (int i = 0; i < rows * columns; ++i) expected[i % columns * rows + i / columns] = x[i];
  Counts counts;
  const bool right = right_in_every_order(counts, [&] {
    Array y(rows * columns), input(x);
    transpose(y.data(), input.data(), rows, columns);
    return equal("y", y.values(), expected, rows, 0);
  });
  if (!right) return 1;
  std::string cost = lines_text("writes", counts.writes), step;
  if (counts.shared.words > 0) cost += ", " + turns_text(counts.shared);
  if (!coalesced(counts.reads)) {
    cost = lines_text("reads", counts.reads);
    step = "read rows of x";
  } else if (!coalesced(counts.writes)) {
    step = "write rows of y, from a tile in shared memory";
  } else if (counts.shared.turns_each() > 1.1) {
    step = "put the words of a column into different banks";
  }
  return finish(cost, step);
}
