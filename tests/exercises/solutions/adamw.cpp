// Each parameter on its own. See tests/exercises/adamw.cpp for the task.
// > adamw: right     done
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void adamw(Values& p, Values& m, Values& v, const Values& g, int n, double lr, int t, double decay) {
  const double b1 = 0.9, b2 = 0.95, eps = 1e-8;
  for (int i = 0; i < n; ++i) {
    m[i] = b1 * m[i] + (1 - b1) * g[i];
    v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
    const double mean = m[i] / (1 - std::pow(b1, t)), square = v[i] / (1 - std::pow(b2, t));
    p[i] -= lr * (mean / (std::sqrt(square) + eps) + decay * p[i]);
  }
}
