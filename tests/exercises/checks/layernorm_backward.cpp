#include "reference/layernorm.h"

#include "checks/check.h"

using exercise::equal;
using exercise::random_values;
using exercise::Values;
void layernorm_backward(const Values& x, const Values& w, const Values& dy, int rows, int E, Values& dx,
                        Values& dw, Values& db);

int main() {
  const int rows = 50, E = 64;
  const Values x = random_values(rows * E, 1, 2, 3), w = random_values(E, 2, 1, 0.2),
               dy = random_values(rows * E, 3);
  Values dx = exercise::unwritten(rows * E), dw = exercise::unwritten(E), db = exercise::unwritten(E);
  layernorm_backward(x, w, dy, rows, E, dx, dw, db);
  const auto expected = hipgpt::reference::layernorm_backward(x, w, dy);
  return exercise::finish(equal("dx", dx, expected.dx, E) && equal("dw", dw, expected.dw) &&
                          equal("db", db, expected.db));
}
