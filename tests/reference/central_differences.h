// Gradients without calculus, for comparison with backward passes.
#pragma once

#include <functional>

#include "reference/values.h"

namespace hipgpt::reference {

/// Returns sum_i a[i] b[i]. With b = f(x) this reduces an operation to a single number. The gradient of that
/// number with respect to b is a, so a plays the role of dy.
inline double dot(const Values& a, const Values& b) {
  double total = 0;
  for (size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

/// Returns df/dx[i] = (f(x + h e_i) - f(x - h e_i)) / 2h for each i, with an error of about h^2.
inline Values central_differences(const std::function<double(const Values&)>& f, Values x, double h = 1e-5) {
  Values gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double center = x[i];
    x[i] = center + h;
    const double above = f(x);
    x[i] = center - h;
    const double below = f(x);
    x[i] = center;
    gradient[i] = (above - below) / (2 * h);
  }
  return gradient;
}

}  // namespace hipgpt::reference
