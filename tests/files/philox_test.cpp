#include "philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace hipgpt {
namespace {

using Counter = std::array<uint32_t, 4>;

// The known answers that the authors published with their Random123 library, checked by the compiler itself.
static_assert(philox4x32({0, 0, 0, 0}, {0, 0}) == Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
static_assert(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
              Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
static_assert(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
              Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});

TEST(Philox, GivesTheKnownAnswerAtRunTimeToo) {
  volatile uint32_t word = 0x243f6a88;  // keeps the compiler from computing the answer
  EXPECT_EQ(philox4x32({word, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, EveryBitOfCounterAndSeedMatters) {
  std::set<Counter> seen = {philox4x32({0, 0, 0, 0}, philox_key(0))};
  for (int bit = 0; bit < 128; ++bit) {
    Counter counter{};
    counter[bit / 32] = 1u << (bit % 32);
    EXPECT_TRUE(seen.insert(philox4x32(counter, philox_key(0))).second) << "bit " << bit << " of the counter";
  }
  for (int bit = 0; bit < 64; ++bit) {
    EXPECT_TRUE(seen.insert(philox4x32({0, 0, 0, 0}, philox_key(uint64_t{1} << bit))).second)
        << "bit " << bit << " of the seed";
  }
}

TEST(Philox, UniformFloatsStayWithinTheirBounds) {
  EXPECT_EQ(uniform_below_one(0), 0.0f);
  EXPECT_LT(uniform_below_one(0xffffffff), 1.0f);
  EXPECT_GT(uniform_below_one(0xffffffff), 0.9999999f);
  EXPECT_GT(uniform_above_zero(0), 0.0f);
  EXPECT_EQ(uniform_above_zero(0xffffffff), 1.0f);
}

TEST(Philox, UniformFloatsHaveTheRightMoments) {
  double sum = 0, sum_of_squares = 0;
  constexpr uint32_t kBlocks = 100'000;
  for (uint32_t i = 0; i < kBlocks; ++i) {
    for (const uint32_t word : philox4x32({i, 0, 0, 0}, philox_key(1))) {
      const double u = uniform_below_one(word);
      sum += u;
      sum_of_squares += u * u;
    }
  }
  const double n = 4.0 * kBlocks;
  // The tolerances are four standard errors.
  EXPECT_NEAR(sum / n, 0.5, 4 * std::sqrt(1.0 / 12 / n));
  EXPECT_NEAR(sum_of_squares / n, 1.0 / 3, 4 * std::sqrt(4.0 / 45 / n));
}

TEST(Philox, NormalPairsHaveTheRightMoments) {
  constexpr uint32_t kBlocks = 100'000;
  double sums[5] = {};  // sums of the powers 0 to 4
  double sum_of_products = 0;
  int beyond_two = 0;
  for (uint32_t i = 0; i < kBlocks; ++i) {
    const Counter bits = philox4x32({i, 0, 0, 0}, philox_key(2));
    for (const NormalPair pair : {normal_pair(bits[0], bits[1]), normal_pair(bits[2], bits[3])}) {
      sum_of_products += static_cast<double>(pair.first) * pair.second;
      for (const double z : {pair.first, pair.second}) {
        for (int power = 0; power < 5; ++power) sums[power] += std::pow(z, power);
        beyond_two += std::abs(z) > 2;
      }
    }
  }
  const double n = sums[0];
  ASSERT_EQ(n, 4.0 * kBlocks);
  EXPECT_NEAR(sums[1] / n, 0.0, 4 * std::sqrt(1 / n));
  EXPECT_NEAR(sums[2] / n, 1.0, 4 * std::sqrt(2 / n));
  EXPECT_NEAR(sums[3] / n, 0.0, 4 * std::sqrt(15 / n));
  EXPECT_NEAR(sums[4] / n, 3.0, 4 * std::sqrt(96 / n));
  EXPECT_NEAR(sum_of_products / (n / 2), 0.0, 4 * std::sqrt(2 / n));
  EXPECT_NEAR(beyond_two / n, 0.0455, 4 * std::sqrt(0.0455 / n));
}

TEST(Philox, NormalPairsAreFiniteAtTheExtremes) {
  for (const uint32_t radius : {0u, 0xffffffffu}) {
    for (const uint32_t angle : {0u, 0xffffffffu}) {
      const NormalPair pair = normal_pair(radius, angle);
      EXPECT_TRUE(std::isfinite(pair.first) && std::isfinite(pair.second));
    }
  }
}

TEST(Philox, MultiplyHighAgreesWithA128BitProduct) {
  const auto expected = [](uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>(static_cast<Wide>(a) * b >> 64);
  };
  std::vector<uint64_t> numbers = {
      0, 1, 0xffffffff, 0x100000000, 0xffffffff00000000, UINT64_MAX, UINT64_MAX - 1};
  for (uint32_t i = 0; i < 60; ++i) {
    const Counter bits = philox4x32({i, 0, 0, 0}, philox_key(3));
    numbers.push_back(join_bits(bits[0], bits[1]));
  }
  for (const uint64_t a : numbers) {
    for (const uint64_t b : numbers) EXPECT_EQ(multiply_high(a, b), expected(a, b)) << a << " * " << b;
  }
}

TEST(Philox, UniformIntegersReachBothEndsAndNoFurther) {
  for (const uint64_t n : {uint64_t{1}, uint64_t{7}, uint64_t{1} << 40, UINT64_MAX}) {
    EXPECT_EQ(uniform_integer(0, n), 0u);
    EXPECT_EQ(uniform_integer(UINT64_MAX, n), n - 1);
  }
}

}  // namespace
}  // namespace hipgpt
