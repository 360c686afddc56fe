// Exercise: the gradients of LayerNorm.   Guide: chapter 5, src/cpu/README.md
//
// With xh[i,e] = (x[i,e] - mean_i) rstd_i and g[i,e] = dy[i,e] w[e], where a mean is over the E elements of a
// row:
//   dx = rstd (g - mean(g) - xh mean(g xh)),   dw[e] = sum_i dy[i,e] xh[i,e],   db[e] = sum_i dy[i,e]
//
// Shapes: x, dy, dx [rows,E]; w, dw, db [E]. mean and rstd are those of the exercise layernorm. Nobody has
// set dw and db to zero.
//
// Empty, it prints
// > layernorm_backward: 3200 of 3200 elements are wrong; the first is dx[0,0] = nan (nobody wrote it)
//
// Check it with ./scripts/exercise.sh layernorm_backward
#include <cmath>
#include <vector>

using Values = std::vector<double>;

void layernorm_backward(const Values& x, const Values& w, const Values& dy, int rows, int E, Values& dx,
                        Values& dw, Values& db) {
  // Write your code here.
}
