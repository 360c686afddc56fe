// Operations in bf16. With small integers, products and sums are exact, so results are compared bit by bit.
// Otherwise a result may differ from the formula in double precision by half a unit of bf16 and the error of
// sums in fp32.
#include <bit>
#include <limits>

#include "device_fixture.h"

namespace hipgpt {
namespace {

using reference::Values;

struct Size {
  int64_t m, n, k;
};

/// Rounds to a bf16, as a double: 8 significant bits, ties to even.
double nearest_bf16(double x) {
  if (x == 0.0) return x;
  const double unit = std::ldexp(1.0, std::ilogb(x) - 7);
  return std::nearbyint(x / unit) * unit;
}

/// Operands of a linear layer in bf16. Their products and sums are exact in fp32 if `whole`: integers up to
/// 3.
class Bf16Linear : public DeviceTest {
 protected:
  Tensor random_bf16(std::initializer_list<int64_t> shape, bool whole) {
    const Tensor t = zeros(shape, DType::kBF16);
    std::vector<uint16_t> bits(static_cast<size_t>(t.size()));
    for (uint16_t& b : bits) {
      const float value = whole ? static_cast<float>(std::uniform_int_distribution<int>(-3, 3)(generator_))
                                : std::uniform_real_distribution<float>(-1, 1)(generator_);
      b = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
    }
    device_->copy_to_device(t, bits.data());
    return t;
  }

  Values values_bf16(Tensor t) {
    std::vector<uint16_t> bits(static_cast<size_t>(t.size()));
    device_->copy_to_host(bits.data(), t);
    Values result;
    for (const uint16_t b : bits) result.push_back(std::bit_cast<float>(static_cast<uint32_t>(b) << 16));
    return result;
  }

  /// Expects each element to be within half a unit of bf16 of the expected value, and `sum_error` of an fp32
  /// sum; with integers, the nearest bf16.
  static void expect_rounded(const Values& actual, const Values& expected, bool whole, double sum_error,
                             const std::string& what) {
    ASSERT_EQ(actual.size(), expected.size()) << what;
    for (size_t i = 0; i < expected.size(); ++i) {
      if (whole) {
        ASSERT_EQ(actual[i], nearest_bf16(expected[i])) << what << " at " << i;
      } else {
        ASSERT_NEAR(actual[i], expected[i], std::fabs(expected[i]) * 0x1.01p-8 + sum_error)
            << what << " at " << i;
      }
    }
  }
};

// Sizes around one and several tiles, with k shorter and longer than the steps on their way, aligned to 16
// bytes or not.
constexpr Size kBf16Sizes[] = {{1, 1, 1},       {3, 5, 7},      {64, 64, 64}, {130, 72, 200}, {129, 67, 31},
                               {136, 264, 520}, {1, 264, 1000}, {40, 33, 9},  {24, 16, 1304}};

TEST_P(Bf16Linear, IsExactForIntegersAndRoundedOnceOtherwise) {
  for (const Size s : kBf16Sizes) {
    for (const Layout layout : {Layout::kInOut, Layout::kOutIn}) {
      for (const bool whole : {true, false}) {
        const bool out_in = layout == Layout::kOutIn;
        const Tensor x = random_bf16({s.m, s.k}, whole), b = random_bf16({s.n}, whole);
        const Tensor w = out_in ? random_bf16({s.n, s.k}, whole) : random_bf16({s.k, s.n}, whole);
        const Tensor y = zeros({s.m, s.n}, DType::kBF16), pre = zeros({s.m, s.n}, DType::kBF16);
        const Values z =
            reference::linear(values_bf16(x), values_bf16(w), out_in, values_bf16(b), s.m, s.k, s.n);
        const double sum_error = 1e-6 * std::sqrt(static_cast<double>(s.k)) * 4;
        const std::string size = fmt_size("", s.m, s.n, s.k);
        device_->linear(y, x, {w, b, layout}, Activation::kRelu, pre);
        Values positive = z;
        for (double& v : positive) v = std::max(v, 0.0);
        expect_rounded(values_bf16(pre), z, whole, sum_error, "pre" + size);
        expect_rounded(values_bf16(y), positive, whole, sum_error, "y" + size);
        if (whole) continue;
        device_->linear(y, x, {w, b, layout}, Activation::kGelu, {});
        Values gelu = z;
        for (double& v : gelu) v = reference::activation(Activation::kGelu, v);
        expect_rounded(values_bf16(y), gelu, false, 2 * sum_error, "gelu" + size);
      }
    }
  }
}

TEST_P(Bf16Linear, BackwardIsExactForIntegersAndRoundedOnceOtherwise) {
  for (const Size s : kBf16Sizes) {
    for (const Layout layout : {Layout::kInOut, Layout::kOutIn}) {
      for (const bool whole : {true, false}) {
        const bool out_in = layout == Layout::kOutIn;
        const int64_t rows = s.m, out = s.n, in = s.k;
        const Tensor x = random_bf16({rows, in}, whole), dy = random_bf16({rows, out}, whole);
        const Tensor w = out_in ? random_bf16({out, in}, whole) : random_bf16({in, out}, whole);
        const Tensor pre = random_bf16({rows, in}, whole), dx = zeros({rows, in}, DType::kBF16);
        const Tensor dw = out_in ? zeros({out, in}) : zeros({in, out}), db = zeros({out});
        const Values vx = values_bf16(x), vdy = values_bf16(dy), vw = values_bf16(w), vpre = values_bf16(pre);
        const Activation act = whole ? Activation::kRelu : Activation::kGelu;
        const auto expected = reference::linear_backward(vx, vw, out_in, vdy, rows, in, out);
        Values dpre = expected.dx;
        for (size_t i = 0; i < dpre.size(); ++i) dpre[i] *= reference::activation_slope(act, vpre[i]);
        const std::string size = fmt_size("", s.m, s.n, s.k);
        device_->linear_backward(dx, {dw, db, layout}, dy, x, {w, {}, layout}, act, pre);
        const double sum_error = 4e-6 * std::sqrt(static_cast<double>(out));
        expect_rounded(values_bf16(dx), dpre, whole, sum_error, "dx" + size);
        if (whole) {
          EXPECT_EQ(values(dw), expected.dw) << size;
          EXPECT_EQ(values(db), expected.db) << size;
        } else {
          expect_close(values(dw), expected.dw, 5e-6, "dw" + size);
          expect_close(values(db), expected.db, 5e-6, "db" + size);
        }
      }
    }
  }
}

TEST_P(Bf16Linear, GivesTheSameBitsAgain) {
  const Tensor x = random_bf16({300, 1000}, false), w = random_bf16({1000, 136}, false);
  const Tensor y = zeros({300, 136}, DType::kBF16), dw = zeros({1000, 136}),
               dx = zeros({300, 1000}, DType::kBF16);
  Values first_y, first_dw;
  for (int i = 0; i < 3; ++i) {
    device_->set_zero(dw);
    device_->linear(y, x, {w, {}}, Activation::kNone, {});
    device_->linear_backward(dx, {dw, {}}, y, x, {w, {}}, Activation::kNone, {});
    if (i == 0) first_y = values_bf16(y), first_dw = values(dw);
    EXPECT_EQ(values_bf16(y), first_y);
    EXPECT_EQ(values(dw), first_dw);
  }
}

TEST_P(Bf16Linear, NanAndInfinityStay) {
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor x = zeros({1, 8}, DType::kBF16), w = zeros({8, 8}, DType::kBF16),
               y = zeros({1, 8}, DType::kBF16);
  for (const float value :
       {inf, -inf, std::bit_cast<float>(0x7fffffffu), std::bit_cast<float>(0xffffffffu)}) {
    const auto bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
    const std::vector<uint16_t> values(8, bits), ones(64, 0x3f80);
    device_->copy_to_device(x, values.data());
    device_->copy_to_device(w, ones.data());
    device_->linear(y, x, {w, {}}, Activation::kNone, {});
    for (const double v : values_bf16(y)) {
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(v));
      } else {
        EXPECT_EQ(v, value);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Bf16Linear, testing::ValuesIn(all_devices()), case_name);

}  // namespace
}  // namespace hipgpt
