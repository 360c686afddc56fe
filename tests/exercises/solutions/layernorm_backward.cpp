// One pass collects the two means of a row and its share of dw and db; the next writes dx. See
// tests/exercises/layernorm_backward.cpp for the task.
// > layernorm_backward: right     done
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void layernorm_backward(const Values& x, const Values& w, const Values& dy, int rows, int E, Values& dx,
                        Values& dw, Values& db) {
  dw.assign(E, 0);
  db.assign(E, 0);
  for (int i = 0; i < rows; ++i) {
    double mean = 0, variance = 0;
    for (int e = 0; e < E; ++e) mean += x[i * E + e] / E;
    for (int e = 0; e < E; ++e) variance += (x[i * E + e] - mean) * (x[i * E + e] - mean) / E;
    const double rstd = 1 / std::sqrt(variance + 1e-5);
    double mean_g = 0, mean_g_xh = 0;
    for (int e = 0; e < E; ++e) {
      const double xh = (x[i * E + e] - mean) * rstd, g = dy[i * E + e] * w[e];
      mean_g += g / E;
      mean_g_xh += g * xh / E;
      dw[e] += dy[i * E + e] * xh;
      db[e] += dy[i * E + e];
    }
    for (int e = 0; e < E; ++e) {
      const double xh = (x[i * E + e] - mean) * rstd, g = dy[i * E + e] * w[e];
      dx[i * E + e] = rstd * (g - mean_g - xh * mean_g_xh);
    }
  }
}
