#include "reference/layernorm.h"

#include "checks/check.h"

using exercise::random_values;
using exercise::Values;
void layernorm(const Values& x, const Values& w, const Values& b, int rows, int E, Values& y);

int main() {
  const int rows = 100, E = 128;
  const Values x = random_values(rows * E, 1, 2, 3), w = random_values(E, 2, 1, 0.2), b = random_values(E, 3);
  Values y = exercise::unwritten(rows * E);
  layernorm(x, w, b, rows, E, y);
  return exercise::finish(exercise::equal("y", y, hipgpt::reference::layernorm(x, w, b), E));
}
