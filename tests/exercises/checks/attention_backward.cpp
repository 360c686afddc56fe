#include "reference/attention.h"

#include "checks/check.h"
#include "checks/head.h"

using exercise::equal;
using exercise::random_values;
using exercise::Values;
void attention_backward(const Values& q, const Values& k, const Values& v, const Values& p,
                        const Values& dout, int T, int D, Values& dq, Values& dk, Values& dv);

int main() {
  using namespace hipgpt;
  const int T = 30, D = 8;
  const Values q = random_values(T * D, 1), k = random_values(T * D, 2), v = random_values(T * D, 3),
               dout = random_values(T * D, 4), qkv = exercise::side_by_side(q, k, v, T, D);
  Values p(T * T);
  for (int i = 0; i < T; ++i) {
    const Values row = reference::attention_probabilities(qkv, {1, T, 1, D}, 0, 0, i);
    std::copy(row.begin(), row.end(), &p[i * T]);
  }
  Values dq = exercise::unwritten(T * D), dk = dq, dv = dq;
  attention_backward(q, k, v, p, dout, T, D, dq, dk, dv);
  const Values expected = reference::attention_backward(qkv, dout, 1, T, 1, D);
  return exercise::finish(equal("dv", dv, exercise::part(expected, 2, T, D), D) &&
                          equal("dq", dq, exercise::part(expected, 0, T, D), D) &&
                          equal("dk", dk, exercise::part(expected, 1, T, D), D));
}
