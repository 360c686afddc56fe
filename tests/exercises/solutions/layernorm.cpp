// Three passes over each row. See tests/exercises/layernorm.cpp for the task.
// > layernorm: right     done
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void layernorm(const Values& x, const Values& w, const Values& b, int rows, int E, Values& y) {
  for (int i = 0; i < rows; ++i) {
    const double* row = &x[i * E];
    double mean = 0, variance = 0;
    for (int e = 0; e < E; ++e) mean += row[e] / E;
    for (int e = 0; e < E; ++e) variance += (row[e] - mean) * (row[e] - mean) / E;
    const double rstd = 1 / std::sqrt(variance + 1e-5);
    for (int e = 0; e < E; ++e) y[i * E + e] = (row[e] - mean) * rstd * w[e] + b[e];
  }
}
