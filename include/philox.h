// Philox4x32-10: stateless random numbers (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as
// 1, 2, 3", SC 2011).
//
// An ordinary generator walks from one number to the next, so the millionth number costs the 999,999 before
// it. Philox is a function: it scrambles a 128-bit counter with a 64-bit key, and every (counter, key) has
// its own 128 random bits. A thread, a row of a batch or a step can therefore compute its own numbers in any
// order. The same seed gives the same numbers for any number of threads.
//
// Everything here works on plain integers and floats, so that a kernel can use it too.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

// A GPU compiler defines __host__ and __device__; for any other compiler these are ordinary functions.
#ifdef __host__
#define HIPGPT_HOST_DEVICE __host__ __device__
#else
#define HIPGPT_HOST_DEVICE
#endif

namespace hipgpt {

/// What the numbers are drawn for. This value goes into the last word of the counter, so one seed serves all
/// uses and no two of them ever see the same numbers.
enum class RandomUse : uint32_t { kWeights = 0, kBatches = 1, kDropout = 2, kSampling = 3 };

/// Replaces the four words of a counter by four random words: ten rounds, each of two 32x32-bit products
/// whose high halves are mixed with the other words and the key.
HIPGPT_HOST_DEVICE constexpr void philox4x32_10(uint32_t (&x)[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * x[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * x[2];
    const uint32_t x1 = x[1], x3 = x[3];
    x[0] = static_cast<uint32_t>(product1 >> 32) ^ x1 ^ key0;
    x[1] = static_cast<uint32_t>(product1);
    x[2] = static_cast<uint32_t>(product0 >> 32) ^ x3 ^ key1;
    x[3] = static_cast<uint32_t>(product0);
    key0 += 0x9E3779B9;  // the golden ratio, and
    key1 += 0xBB67AE85;  // sqrt(3) - 1: a different key for each round
  }
}

/// The same function with arrays, for the host.
constexpr std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  uint32_t x[4] = {counter[0], counter[1], counter[2], counter[3]};
  philox4x32_10(x, key[0], key[1]);
  return {x[0], x[1], x[2], x[3]};
}

/// The key of a 64-bit seed.
constexpr std::array<uint32_t, 2> philox_key(uint64_t seed) {
  return {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
}

/// Two words as one 64-bit draw.
HIPGPT_HOST_DEVICE constexpr uint64_t join_bits(uint32_t low, uint32_t high) {
  return uint64_t{high} << 32 | low;
}

/// A float in [0, 1). A float has 24 bits of precision: more bits would round some draws up to 1.
HIPGPT_HOST_DEVICE constexpr float uniform_below_one(uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24f;
}

/// A float in (0, 1]: for logarithms.
HIPGPT_HOST_DEVICE constexpr float uniform_above_zero(uint32_t bits) {
  return static_cast<float>((bits >> 8) + 1) * 0x1p-24f;
}

/// The high 64 bits of a * b, from four 32x32-bit products.
HIPGPT_HOST_DEVICE constexpr uint64_t multiply_high(uint64_t a, uint64_t b) {
  const uint64_t a_low = a & 0xFFFFFFFF, a_high = a >> 32;
  const uint64_t b_low = b & 0xFFFFFFFF, b_high = b >> 32;
  const uint64_t middle0 = a_high * b_low + (a_low * b_low >> 32);
  const uint64_t middle1 = a_low * b_high + (middle0 & 0xFFFFFFFF);
  return a_high * b_high + (middle0 >> 32) + (middle1 >> 32);
}

/// An integer in [0, n), n > 0: floor(n * bits / 2^64). No value is more likely than another by more than the
/// fraction n / 2^64, which no experiment could detect.
HIPGPT_HOST_DEVICE constexpr uint64_t uniform_integer(uint64_t bits, uint64_t n) {
  return multiply_high(bits, n);
}

struct NormalPair {
  float first;
  float second;
};

/// Two independent draws from the normal distribution of mean 0 and variance 1 (Box and Muller, 1958): a
/// random direction, and a radius whose square is exponentially distributed.
HIPGPT_HOST_DEVICE inline NormalPair normal_pair(uint32_t bits0, uint32_t bits1) {
  const float radius = sqrtf(-2.0f * logf(uniform_above_zero(bits0)));
  const float angle = 6.2831853f * uniform_below_one(bits1);
  return {radius * cosf(angle), radius * sinf(angle)};
}

}  // namespace hipgpt
