// The activation functions and their derivatives for kernels; src/cpu/activation.h has the same for the CPU.
#pragma once

#include "device.h"
#include "hip/kernel.h"

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

}  // namespace hipgpt::hip
