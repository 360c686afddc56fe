// Activation functions and their derivatives.
#pragma once

#include <cmath>
#include <numbers>

#include "device.h"

namespace hipgpt::reference {

/// none: x.   ReLU: max(x, 0)  (Nair & Hinton, ICML 2010).
/// GELU, in GPT-2's tanh form: x (1 + tanh(u)) / 2 with u = sqrt(2/pi) (x + 0.044715 x^3)
/// (Hendrycks & Gimpel, arXiv:1606.08415, 2016).
inline double activation(Activation act, double x) {
  if (act == Activation::kRelu) return x > 0 ? x : 0;
  if (act == Activation::kGelu) {
    const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    return x * (1 + std::tanh(u)) / 2;
  }
  return x;
}

/// The derivative of activation().   none: 1.   ReLU: 1 where x > 0, else 0.
/// GELU: (1 + t)/2 + x (1 - t^2)/2 du/dx with t = tanh(u), by the product rule and tanh' = 1 - tanh^2.
inline double activation_slope(Activation act, double x) {
  if (act == Activation::kRelu) return x > 0 ? 1 : 0;
  if (act == Activation::kGelu) {
    const double scale = std::sqrt(2 / std::numbers::pi);
    const double t = std::tanh(scale * (x + 0.044715 * x * x * x));
    const double du = scale * (1 + 3 * 0.044715 * x * x);
    return (1 + t) / 2 + x * (1 - t * t) / 2 * du;
  }
  return 1;
}

}  // namespace hipgpt::reference
