// Matrix products, and the linear layer built from them.
#pragma once

#include "reference/values.h"

namespace hipgpt::reference {

/// C = A B.   A [m,k], B [k,n], C [m,n]; a `transposed` matrix is stored with its dimensions swapped.
/// c[i,j] = sum_p a[i,p] b[p,j].
inline Values matmul(const Values& a, bool a_transposed, const Values& b, bool b_transposed, int64_t m,
                     int64_t n, int64_t k) {
  Values c(m * n, 0.0);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t p = 0; p < k; ++p) {
      const double x = a[a_transposed ? p * m + i : i * k + p];
      for (int64_t j = 0; j < n; ++j) c[i * n + j] += x * b[b_transposed ? j * k + p : p * n + j];
    }
  }
  return c;
}

/// y = x W + b.   x [rows,in], W [in,out] (stored [out,in] if `w_transposed`), b [out] or none, y [rows,out].
inline Values linear(const Values& x, const Values& w, bool w_transposed, const Values& b, int64_t rows,
                     int64_t in, int64_t out) {
  Values y = matmul(x, false, w, w_transposed, rows, out, in);
  if (b.empty()) return y;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < out; ++j) y[i * out + j] += b[j];
  }
  return y;
}

struct LinearGradients {
  Values dx;  ///< [rows,in]
  Values dw;  ///< same layout as W
  Values db;  ///< [out]
};

/// From dy [rows,out], the gradient of the loss in y:   dx = dy W^T,   dW = x^T dy,   db[j] = sum_i dy[i,j].
/// y[i,j] has the derivative w[p,j] with respect to x[i,p], x[i,p] with respect to w[p,j], and 1 with respect
/// to b[j]. The chain rule sums over all y that depend on an element.
inline LinearGradients linear_backward(const Values& x, const Values& w, bool w_transposed, const Values& dy,
                                       int64_t rows, int64_t in, int64_t out) {
  LinearGradients g;
  g.dx = matmul(dy, false, w, !w_transposed, rows, in, out);
  g.dw = w_transposed ? matmul(dy, true, x, false, out, in, rows) : matmul(x, true, dy, false, in, out, rows);
  g.db.assign(out, 0.0);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < out; ++j) g.db[j] += dy[i * out + j];
  }
  return g;
}

}  // namespace hipgpt::reference
