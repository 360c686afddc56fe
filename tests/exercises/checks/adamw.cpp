#include "reference/adamw.h"

#include "checks/check.h"

using exercise::equal;
using exercise::random_values;
using exercise::Values;
void adamw(Values& p, Values& m, Values& v, const Values& g, int n, double lr, int t, double decay);

int main() {
  using namespace hipgpt;
  const int n = 200;
  const double lr = 0.01;
  // Exact in binary, as the options hold floats.
  AdamW options{.weight_decay = 0.125f, .decayed = n};
  Values p = random_values(n, 1), m(n), v(n), expected_p = p, expected_m = m, expected_v = v;
  bool right = true;
  for (int t = 1; t <= 5; ++t) {
    const Values g = random_values(n, 10 + t);
    adamw(p, m, v, g, n, lr, t, options.weight_decay);
    options.beta1 = 0.9f;
    options.beta2 = 0.95f;
    reference::adamw(expected_p, expected_m, expected_v, g, lr, t, options);
  }
  right = equal("m", m, expected_m, 0, 1e-6) && equal("v", v, expected_v, 0, 1e-6) &&
          equal("p", p, expected_p, 0, 1e-6);
  return exercise::finish(right);
}
