// Exercise: LayerNorm, forward.   Guide: chapter 5, src/cpu/README.md
//
//   y[i,e] = (x[i,e] - mean_i) rstd_i w[e] + b[e]
//   mean_i = sum_e x[i,e] / E,   rstd_i = 1 / sqrt(sum_e (x[i,e] - mean_i)^2 / E + 1e-5)
//
// Shapes: x, y [rows,E] with element (i,e) at index i * E + e; w, b [E].
//
// Empty, it prints
// > layernorm: 12800 of 12800 elements are wrong; the first is y[0,0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh layernorm
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void layernorm(const Values& x, const Values& w, const Values& b, int rows, int E, Values& y) {
  // Write your code here.
}
