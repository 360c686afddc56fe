// The activation functions and their derivatives for kernels; src/cpu/activation.h has the same for the CPU.
#pragma once

#include "device.h"
#include "hip/fast_math.h"

namespace hipgpt::hip {

constexpr float kSqrtTwoOverPi = 0.7978845608f;
constexpr float kGeluCubic = 0.044715f;

__device__ inline float activate(Activation act, float x) {
  if (act == Activation::kRelu) return x > 0.0f ? x : 0.0f;
  if (act == Activation::kGelu) {
    return 0.5f * x * (1.0f + tanhf(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x)));
  }
  return x;
}

/// act'(x). With u = sqrt(2/pi) (x + c x^3) and t = tanh u:  gelu'(x) = (1 + t)/2 + x (1 - t^2)/2 * du/dx.
__device__ inline float activation_slope(Activation act, float x) {
  if (act == Activation::kRelu) return x > 0.0f ? 1.0f : 0.0f;
  if (act == Activation::kGelu) {
    const float t = tanhf(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x));
    const float du = kSqrtTwoOverPi * (1.0f + 3.0f * kGeluCubic * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * du;
  }
  return 1.0f;
}

// The same for results in bf16, with 1 + tanh u = 2 s, where s = 1 / (1 + e^(-2u)).

__device__ inline float gelu_sigmoid(float x) {
  const float u = kSqrtTwoOverPi * (x + kGeluCubic * x * x * x);
  return reciprocal_of(1.0f + exp2_of(-2.0f * kLog2E * u));
}

__device__ inline float activate_fast(Activation act, float x) {
  return act == Activation::kGelu ? x * gelu_sigmoid(x) : activate(act, x);
}

/// gelu'(x) = s + 2 x s (1 - s) du/dx.
__device__ inline float activation_slope_fast(Activation act, float x) {
  if (act != Activation::kGelu) return activation_slope(act, x);
  const float s = gelu_sigmoid(x);
  return s + 2.0f * x * s * (1.0f - s) * kSqrtTwoOverPi * (1.0f + 3.0f * kGeluCubic * x * x);
}

}  // namespace hipgpt::hip
