// exp, tanh and the normal distribution that a compiler can vectorise: no branches, no calls, no tables.
#pragma once

#include <bit>
#include <cstdint>

namespace hipgpt::cpu {

/// e^x to about 1 unit in the last place; 0 below -87.3, about 1e38 above 88, NaN for NaN.
/// Cody & Waite: x = n ln 2 + r with |r| <= ln(2)/2, e^x = 2^n e^r, and e^r by the minimax polynomial of
/// Moshier's Cephes library.
inline float exp_fast(float x) {
  constexpr float kLowest = -87.33654f, kHighest = 88.02f;
  constexpr float kLog2e = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  const float underflow = x < kLowest ? 0.0f : 1.0f;
  x = x < kLowest ? kLowest : x;
  x = x > kHighest ? kHighest : x;
  const float shifted = x * kLog2e + kRounder;
  const float n = shifted - kRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const auto exponent = (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRounder) + 127u) << 23;
  return p * std::bit_cast<float>(exponent) * underflow;
}

/// tanh x = 1 - 2 / (e^{2x} + 1), to about 1e-7 absolute.
inline float tanh_fast(float x) {
  return 1.0f - 2.0f / (exp_fast(2.0f * x) + 1.0f);
}

/// A normal random number Z at x: its density e^{-x^2/2} / sqrt(2 pi), and P(Z < x) = (1 + erf(x / sqrt 2)) / 2
/// to 1.5e-7 absolute. In the lower tail, P is the density times a polynomial in t = 1 / (1 + c |x|)
/// (Abramowitz & Stegun, 1964, 26.2.17).
struct Normal {
  float density, below;
};

inline Normal normal_at(float x) {
  const float t = 1.0f / (1.0f + 0.2316419f * (x < 0.0f ? -x : x));
  float p = 1.330274429f;
  p = p * t - 1.821255978f;
  p = p * t + 1.781477937f;
  p = p * t - 0.356563782f;
  p = p * t + 0.319381530f;
  const float density = 0.3989422804f * exp_fast(-0.5f * x * x);
  const float tail = density * p * t;
  return {density, x < 0.0f ? tail : 1.0f - tail};
}

}  // namespace hipgpt::cpu
