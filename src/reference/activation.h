// Activation functions and their derivatives.
#pragma once

#include <cmath>
#include <numbers>

#include "device.h"

namespace hipgpt::reference {

/// none: x.   ReLU: max(x, 0)  (Nair & Hinton, ICML 2010).
/// GELU (Hendrycks & Gimpel, arXiv:1606.08415, 2016): x P(Z < x), where Z is a normal random number.
///   exact:        x (1 + erf(x / sqrt(2))) / 2
///   GPT-2's form: x (1 + tanh(u)) / 2 with u = sqrt(2/pi) (x + 0.044715 x^3)
inline double activation(Activation act, double x) {
  if (act == Activation::kRelu) return x > 0 ? x : 0;
  if (act == Activation::kGelu) {
    const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    return x * (1 + std::tanh(u)) / 2;
  }
  if (act == Activation::kGeluErf) return x * (1 + std::erf(x / std::numbers::sqrt2)) / 2;
  return x;
}

/// The derivative of activation().   none: 1.   ReLU: 1 where x > 0, else 0.
/// Exact GELU: P(Z < x) + x p(x), by the product rule, with the density p(x) = e^(-x^2/2) / sqrt(2 pi).
/// GPT-2's GELU: (1 + t)/2 + x (1 - t^2)/2 du/dx with t = tanh(u), since tanh' = 1 - tanh^2.
inline double activation_slope(Activation act, double x) {
  if (act == Activation::kRelu) return x > 0 ? 1 : 0;
  if (act == Activation::kGelu) {
    const double scale = std::sqrt(2 / std::numbers::pi);
    const double t = std::tanh(scale * (x + 0.044715 * x * x * x));
    const double du = scale * (1 + 3 * 0.044715 * x * x);
    return (1 + t) / 2 + x * (1 - t * t) / 2 * du;
  }
  if (act == Activation::kGeluErf) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    return (1 + std::erf(x / std::numbers::sqrt2)) / 2 + x * density;
  }
  return 1;
}

}  // namespace hipgpt::reference
