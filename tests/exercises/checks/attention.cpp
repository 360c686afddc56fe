#include "reference/attention.h"

#include "checks/check.h"
#include "checks/head.h"

using exercise::random_values;
using exercise::Values;
void attention(const Values& q, const Values& k, const Values& v, int T, int D, Values& o);

int main() {
  const int T = 30, D = 8;
  Values q = random_values(T * D, 1);
  for (int d = 0; d < D; ++d) q[5 * D + d] *= 1000;
  const Values k = random_values(T * D, 2), v = random_values(T * D, 3);
  Values o = exercise::unwritten(T * D);
  attention(q, k, v, T, D, o);
  return exercise::finish(exercise::equal(
      "o", o, hipgpt::reference::attention(exercise::side_by_side(q, k, v, T, D), 1, T, 1, D), D));
}
