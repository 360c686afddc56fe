// The activation functions and their derivatives, one element at a time.
#pragma once

#include "cpu/vector_math.h"
#include "device.h"

namespace hipgpt::cpu {

inline constexpr float kSqrtTwoOverPi = 0.7978845608f;
inline constexpr float kGeluCubic = 0.044715f;

inline float relu(float x) {
  return x > 0.0f ? x : 0.0f;
}
inline float relu_slope(float x) {
  return x > 0.0f ? 1.0f : 0.0f;
}

inline float gelu(float x) {
  return 0.5f * x * (1.0f + tanh_fast(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x)));
}

/// With u = sqrt(2/pi) (x + c x^3) and t = tanh u:  gelu'(x) = (1 + t)/2 + x (1 - t^2)/2 * du/dx.
inline float gelu_slope(float x) {
  const float t = tanh_fast(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x));
  const float du = kSqrtTwoOverPi * (1.0f + 3.0f * kGeluCubic * x * x);
  return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * du;
}

/// Exact GELU: x P(Z < x).
inline float gelu_erf(float x) {
  return x * normal_at(x).below;
}

/// P(Z < x) + x p(x), where p is the density of Z.
inline float gelu_erf_slope(float x) {
  const Normal z = normal_at(x);
  return z.below + x * z.density;
}

/// Calls f with function objects for `act` and its derivative, so that the choice happens once instead of for each
/// element.
template <typename F>
void with_activation(Activation act, const F& f) {
  switch (act) {
    case Activation::kNone: return f([](float x) { return x; }, [](float) { return 1.0f; });
    case Activation::kRelu: return f([](float x) { return relu(x); }, [](float x) { return relu_slope(x); });
    case Activation::kGelu: return f([](float x) { return gelu(x); }, [](float x) { return gelu_slope(x); });
    case Activation::kGeluErf:
      return f([](float x) { return gelu_erf(x); }, [](float x) { return gelu_erf_slope(x); });
  }
}

}  // namespace hipgpt::cpu
