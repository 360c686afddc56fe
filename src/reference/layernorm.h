// LayerNorm (Ba, Kiros & Hinton, arXiv:1607.06450, 2016).
#pragma once

#include <cmath>

#include "reference/values.h"

namespace hipgpt::reference {

/// Mean and 1 / standard deviation of a row of E values, with 1e-5 under the root.
struct RowStats {
  double mean = 0, rstd = 0;

  RowStats(const double* row, int64_t E) {
    for (int64_t e = 0; e < E; ++e) mean += row[e] / static_cast<double>(E);
    double variance = 0;
    for (int64_t e = 0; e < E; ++e) variance += (row[e] - mean) * (row[e] - mean) / static_cast<double>(E);
    rstd = 1 / std::sqrt(variance + 1e-5);
  }
};

/// y = xh * w + b with xh = (x - mean) rstd, for each row.   x, y [rows,E]; w, b [E].
inline Values layernorm(const Values& x, const Values& w, const Values& b) {
  const auto E = static_cast<int64_t>(w.size()), rows = static_cast<int64_t>(x.size()) / E;
  Values y(x.size());
  for (int64_t i = 0; i < rows; ++i) {
    const RowStats stats(&x[i * E], E);
    for (int64_t e = 0; e < E; ++e) y[i * E + e] = (x[i * E + e] - stats.mean) * stats.rstd * w[e] + b[e];
  }
  return y;
}

struct LayerNormGradients {
  Values dx;      ///< [rows,E]
  Values dw, db;  ///< [E]
};

/// From dy [rows,E], with g = dy * w and means over the row:
///   dx = rstd (g - mean(g) - xh mean(g xh)),   dw = sum_rows dy xh,   db = sum_rows dy.
/// Mean and deviation depend on every x of the row. Their terms in dx remove the constant part of g and its
/// part along xh, because moving a row along either does not change y (except through the 1e-5).
inline LayerNormGradients layernorm_backward(const Values& x, const Values& w, const Values& dy) {
  const auto E = static_cast<int64_t>(w.size()), rows = static_cast<int64_t>(x.size()) / E;
  LayerNormGradients result{Values(x.size()), Values(E, 0.0), Values(E, 0.0)};
  for (int64_t i = 0; i < rows; ++i) {
    const RowStats stats(&x[i * E], E);
    double mean_g = 0, mean_g_xh = 0;
    for (int64_t e = 0; e < E; ++e) {
      const double xh = (x[i * E + e] - stats.mean) * stats.rstd, g = dy[i * E + e] * w[e];
      mean_g += g / static_cast<double>(E);
      mean_g_xh += g * xh / static_cast<double>(E);
      result.dw[e] += dy[i * E + e] * xh;
      result.db[e] += dy[i * E + e];
    }
    for (int64_t e = 0; e < E; ++e) {
      const double xh = (x[i * E + e] - stats.mean) * stats.rstd, g = dy[i * E + e] * w[e];
      result.dx[i * E + e] = stats.rstd * (g - mean_g - xh * mean_g_xh);
    }
  }
  return result;
}

}  // namespace hipgpt::reference
