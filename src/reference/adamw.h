// AdamW (Kingma & Ba, ICLR 2015; Loshchilov & Hutter, ICLR 2019) with a gradient clipped to a norm.
#pragma once

#include <cmath>

#include "device.h"
#include "reference/values.h"

namespace hipgpt::reference {

inline double sum(const Values& x) {
  double total = 0;
  for (const double v : x) total += v;
  return total;
}

/// sqrt(sum_i x[i]^2).
inline double norm(const Values& x) {
  double total = 0;
  for (const double v : x) total += v * v;
  return std::sqrt(total);
}

/// Applies step t, counted from 1, to all parameters p [n] with gradients [n] and moments m, v [n], which
/// start at zero:
///   g = c gradient with c = min(1, max_grad_norm / |gradient|), or 1 where max_grad_norm is 0
///   m = b1 m + (1-b1) g,   v = b2 v + (1-b2) g^2
///   p -= lr ((m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps) + weight_decay p).
/// Only the first `options.decayed` parameters decay. A gradient that is not finite changes nothing.
inline void adamw(Values& p, Values& m, Values& v, const Values& gradient, double lr, int64_t t,
                  const AdamW& options) {
  const double length = norm(gradient), limit = options.max_grad_norm;
  if (!std::isfinite(length)) return;
  const double c = limit > 0 && length > limit ? limit / length : 1;
  const double b1 = options.beta1, b2 = options.beta2;
  for (int64_t i = 0; i < static_cast<int64_t>(p.size()); ++i) {
    const double g = c * gradient[i];
    m[i] = b1 * m[i] + (1 - b1) * g;
    v[i] = b2 * v[i] + (1 - b2) * g * g;
    const double mean = m[i] / (1 - std::pow(b1, t)), square = v[i] / (1 - std::pow(b2, t));
    const double decay = i < options.decayed ? options.weight_decay : 0;
    p[i] -= lr * (mean / (std::sqrt(square) + options.epsilon) + decay * p[i]);
  }
}

}  // namespace hipgpt::reference
