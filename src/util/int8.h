// Rounding of fp32 to int8 with a common scale, for weights and for the activations that they multiply.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace hipgpt {

/// Sets to[i], for i in [0, count), to the integer nearest to values[i] / scale, and returns
/// scale = max_i |values[i]| / 127. If that maximum is below 1e-30, to[i] and the scale are 0; if a value is not
/// finite, to[i] is 0 and the scale NaN.
inline float round_to_int8(int8_t* to, const float* values, int64_t count) {
  constexpr float kLargest = 127.0f, kSmallest = 1e-30f;  // the inverse of a smaller scale may overflow
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  constexpr int32_t kMagnitude = 0x7fffffff, kInfinity = 0x7f800000;
  int32_t bits = 0;  // of the largest magnitude; those of floats are ordered as integers are
#pragma omp simd reduction(max : bits)
  for (int64_t i = 0; i < count; ++i) {
    const int32_t here = std::bit_cast<int32_t>(values[i]) & kMagnitude;
    bits = here > bits ? here : bits;
  }
  const float most = std::bit_cast<float>(bits);
  if (bits >= kInfinity || most < kSmallest) {
    for (int64_t i = 0; i < count; ++i) to[i] = 0;
    return bits >= kInfinity ? std::numeric_limits<float>::quiet_NaN() : 0.0f;
  }
  const float inverse = kLargest / most;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const auto rounded = std::bit_cast<int32_t>(values[i] * inverse + kRounder);
    to[i] = static_cast<int8_t>(rounded - std::bit_cast<int32_t>(kRounder));
  }
  return most / kLargest;
}

}  // namespace hipgpt
