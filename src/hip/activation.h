// The activation functions and their derivatives for kernels; src/cpu/activation.h has the same for the CPU.
#pragma once

#include <type_traits>

#include "device.h"
#include "hip/fast_math.h"
#include "hip/vec.h"

namespace hipgpt::hip {

constexpr float kSqrtTwoOverPi = 0.7978845608f;
constexpr float kGeluCubic = 0.044715f;
constexpr float kOneOverSqrtTwo = 0.7071067812f;
constexpr float kOneOverSqrtTwoPi = 0.3989422804f;

__device__ inline float activate(Activation act, float x) {
  if (act == Activation::kRelu) return x > 0.0f ? x : 0.0f;
  if (act == Activation::kGelu) {
    return 0.5f * x * (1.0f + tanhf(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x)));
  }
  if (act == Activation::kGeluErf) return 0.5f * x * (1.0f + erff(kOneOverSqrtTwo * x));
  return x;
}

/// act'(x). With u = sqrt(2/pi) (x + c x^3) and t = tanh u:  gelu'(x) = (1 + t)/2 + x (1 - t^2)/2 * du/dx.
/// Exact GELU: P(Z < x) + x p(x), with a normal Z and its density p(x) = e^(-x^2/2) / sqrt(2 pi).
__device__ inline float activation_slope(Activation act, float x) {
  if (act == Activation::kRelu) return x > 0.0f ? 1.0f : 0.0f;
  if (act == Activation::kGelu) {
    const float t = tanhf(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x));
    const float du = kSqrtTwoOverPi * (1.0f + 3.0f * kGeluCubic * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * du;
  }
  if (act == Activation::kGeluErf) {
    return 0.5f * (1.0f + erff(kOneOverSqrtTwo * x)) + x * kOneOverSqrtTwoPi * expf(-0.5f * x * x);
  }
  return 1.0f;
}

/// Calls f with `act` as a constant, so that a loop in f has no branch in it.
template <typename F>
__device__ inline void with_activation(Activation act, const F& f) {
  if (act == Activation::kRelu) return f(std::integral_constant<Activation, Activation::kRelu>());
  if (act == Activation::kGelu) return f(std::integral_constant<Activation, Activation::kGelu>());
  if (act == Activation::kGeluErf) return f(std::integral_constant<Activation, Activation::kGeluErf>());
}

// The same for results in bf16. Each step of GPT-2's GELU is computed for a whole pack before the next one, so
// that a lane does not wait for each result.

/// s = 1 / (1 + e^(-2u)) = (1 + tanh u) / 2, from -2u log2(e) = x (a + a c x^2).
template <int kCount>
__device__ inline Vec<float, kCount> gelu_sigmoid(Vec<float, kCount> x) {
  constexpr float kA = -2.0f * kLog2E * kSqrtTwoOverPi;
  const auto factors = map(x * x, [](float square) { return fmaf(square, kA * kGeluCubic, kA); });
  const auto powers = map(x * factors, [](float exponent) { return exp2_of(exponent); });
  const auto sums = map(powers, [](float power) { return 1.0f + power; });
  return map(sums, [](float sum) { return reciprocal_of(sum); });
}

/// A normal random number Z at x, as in src/cpu/vector_math.h.
struct NormalFast {
  float density, below;
};

__device__ inline NormalFast normal_fast(float x) {
  const float t = reciprocal_of(fmaf(0.2316419f, fabsf(x), 1.0f));
  float p = fmaf(1.330274429f, t, -1.821255978f);
  p = fmaf(p, t, 1.781477937f);
  p = fmaf(p, t, -0.356563782f);
  p = fmaf(p, t, 0.319381530f);
  const float density = kOneOverSqrtTwoPi * exp2_of(-0.5f * kLog2E * x * x);
  const float tail = density * p * t;
  return {density, x < 0.0f ? tail : 1.0f - tail};
}

template <int kCount>
__device__ inline Vec<float, kCount> activate_fast(Activation act, Vec<float, kCount> x) {
  if (act == Activation::kGelu) return x * gelu_sigmoid(x);
  if (act == Activation::kGeluErf) return map(x, [](float v) { return v * normal_fast(v).below; });
  return map(x, [act](float v) { return activate(act, v); });
}

/// gelu'(x) = s + 2 x s (1 - s) du/dx = s (1 + (1 - s) x (b + 3 b c x^2)).  Exact GELU: as above.
template <int kCount>
__device__ inline Vec<float, kCount> activation_slope_fast(Activation act, Vec<float, kCount> x) {
  if (act == Activation::kGeluErf) {
    return map(x, [](float v) {
      const NormalFast z = normal_fast(v);
      return z.below + v * z.density;
    });
  }
  if (act != Activation::kGelu) return map(x, [act](float v) { return activation_slope(act, v); });
  constexpr float kB = 2.0f * kSqrtTwoOverPi;
  const auto s = gelu_sigmoid(x);
  const auto slopes = x * map(x * x, [](float square) { return fmaf(square, 3.0f * kB * kGeluCubic, kB); });
  return s * map(s, slopes, [](float a, float b) { return fmaf(1.0f - a, b, 1.0f); });
}

}  // namespace hipgpt::hip
