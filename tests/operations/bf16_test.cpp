// Operations in bf16. With small integers, products and sums are exact, so results are compared bit by bit.
// Otherwise a result may differ from the formula in double precision by half a unit of bf16 and the error of
// sums in fp32.
#include <algorithm>
#include <bit>
#include <deque>
#include <limits>

#include "device_fixture.h"
#include "util/bf16.h"

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

  /// Values from 2 to 4.
  Tensor shifted_bf16(std::initializer_list<int64_t> shape) {
    const Tensor t = zeros(shape, DType::kBF16);
    std::vector<uint16_t> bits(static_cast<size_t>(t.size()));
    for (uint16_t& b : bits) b = to_bf16(std::uniform_real_distribution<float>(2, 4)(generator_));
    device_->copy_to_device(t, bits.data());
    return t;
  }

  /// A random weight [out,in], and its values.
  std::pair<Tensor, Values> weight(int64_t out, int64_t in, DType format) {
    if (format == DType::kBF16) {
      const Tensor w = random_bf16({out, in}, false);
      return {w, values_bf16(w)};
    }
    const int64_t groups = (in + Int8Group::kSize - 1) / Int8Group::kSize;
    std::vector<Int8Group> host(static_cast<size_t>(out * groups));
    Values result;
    for (int64_t j = 0; j < out; ++j) {
      for (int64_t k = 0; k < in; ++k) {
        Int8Group& group = host[static_cast<size_t>(j * groups + k / Int8Group::kSize)];
        if (k % Int8Group::kSize == 0)
          group = {std::uniform_real_distribution<float>(0.001f, 0.01f)(generator_), {}};
        int8_t& value = group.values[k % Int8Group::kSize];
        value = static_cast<int8_t>(std::uniform_int_distribution<int>(-127, 127)(generator_));
        result.push_back(double{group.scale} * value);
      }
    }
    const Tensor w = zeros({out, in}, DType::kInt8);
    device_->copy_to_device(w, host.data());
    return {w, result};
  }

  Tensor integers(std::initializer_list<int64_t> shape) {
    const Tensor t = zeros(shape);
    std::vector<float> values(static_cast<size_t>(t.size()));
    for (float& v : values) v = static_cast<float>(std::uniform_int_distribution<int>(-3, 3)(generator_));
    device_->copy_to_device(t, values.data());
    return t;
  }

  /// The values of a tensor of at most two dimensions, whose rows may have a pitch.
  Values values_bf16(Tensor t) {
    const int64_t width = t.dim(t.rank() - 1), pitch = t.pitch(), rows = t.size() / width;
    std::vector<uint16_t> bits(static_cast<size_t>((rows - 1) * pitch + width));
    device_->copy_to_host(bits.data(), Tensor(t.data(), {static_cast<int64_t>(bits.size())}, DType::kBF16));
    Values result;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < width; ++j)
        result.push_back(
            std::bit_cast<float>(static_cast<uint32_t>(bits[static_cast<size_t>(i * pitch + j)]) << 16));
    }
    return result;
  }

  /// The same values in rows that are `gap` elements longer, with NaN in the gaps.
  Tensor padded(Tensor t, int64_t gap) {
    const int64_t rows = t.dim(0), width = t.dim(1), pitch = width + gap;
    const Tensor room = zeros({rows * pitch}, DType::kBF16);
    std::vector<uint16_t> bits(static_cast<size_t>(t.size())), all(static_cast<size_t>(rows * pitch), 0x7fc0);
    device_->copy_to_host(bits.data(), t);
    for (int64_t i = 0; i < rows; ++i) std::copy_n(bits.data() + i * width, width, all.data() + i * pitch);
    device_->copy_to_device(room, all.data());
    return Tensor(room.data(), {rows, width}, DType::kBF16).with_pitch(pitch);
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
// bytes or not. The emulated GPU multiplies a million numbers a second, so there the largest is smaller.
#ifdef HIPGPT_EMULATED
constexpr Size kLargestBf16 = {72, 136, 264};
#else
constexpr Size kLargestBf16 = {136, 264, 520};
#endif
constexpr Size kBf16Sizes[] = {{1, 1, 1},      {3, 5, 7},    {64, 64, 64},   {130, 72, 200},
                               {129, 67, 31},  kLargestBf16, {1, 264, 1000}, {40, 33, 9},
                               {24, 16, 1304}, {2, 8, 8},    {128, 192, 64}, {129, 200, 136}};

TEST_P(Bf16Linear, IsExactForIntegersAndRoundedOnceOtherwise) {
  for (const Size s : kBf16Sizes) {
    for (const Layout layout : {Layout::kInOut, Layout::kOutIn}) {
      for (const bool whole : {true, false}) {
        const bool out_in = layout == Layout::kOutIn;
        const Tensor x = random_bf16({s.m, s.k}, whole), b = whole ? integers({s.n}) : random({s.n});
        const Tensor w = out_in ? random_bf16({s.n, s.k}, whole) : random_bf16({s.k, s.n}, whole);
        const Tensor y = zeros({s.m, s.n}, DType::kBF16), slope = zeros({s.m, s.n}, DType::kBF16);
        const Values z = reference::linear(values_bf16(x), values_bf16(w), out_in, values(b), s.m, s.k, s.n);
        const double sum_error = 1e-6 * std::sqrt(static_cast<double>(s.k)) * 4;
        const std::string size = fmt_size("", s.m, s.n, s.k);
        device_->linear(y, x, {w, b, layout}, Activation::kRelu, slope);
        Values positive = z;
        for (double& v : positive) v = std::max(v, 0.0);
        expect_rounded(values_bf16(y), positive, whole, sum_error, "y" + size);
        if (whole) {
          for (double& v : positive) v = v > 0.0 ? 1.0 : 0.0;
          EXPECT_EQ(values_bf16(slope), positive) << size;
          continue;
        }
        for (const Activation act : {Activation::kGelu, Activation::kGeluErf}) {
          const std::string name = (act == Activation::kGelu ? "gelu" : "gelu_erf") + size;
          device_->linear(y, x, {w, b, layout}, act, slope);
          Values gelu = z, slopes = z;
          for (double& v : gelu) v = reference::activation(act, v);
          for (double& v : slopes) v = reference::activation_slope(act, v);
          expect_rounded(values_bf16(y), gelu, false, 2 * sum_error, name);
          expect_rounded(values_bf16(slope), slopes, false, 2 * sum_error, "slope of " + name);
          device_->set_zero(y);
          device_->linear(y, x, {w, b, layout}, act, {});
          expect_rounded(values_bf16(y), gelu, false, 2 * sum_error, name + " without slope");
        }
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
        const Tensor slope = random_bf16({rows, in}, whole), dx = zeros({rows, in}, DType::kBF16);
        const Tensor dw = out_in ? zeros({out, in}) : zeros({in, out}), db = zeros({out}),
                     dx_sums = zeros({in});
        const Values vx = values_bf16(x), vdy = values_bf16(dy), vw = values_bf16(w),
                     vslope = values_bf16(slope);
        const auto expected = reference::linear_backward(vx, vw, out_in, vdy, rows, in, out);
        Values dz = expected.dx, sums(static_cast<size_t>(in));
        for (size_t i = 0; i < dz.size(); ++i) {
          dz[i] *= vslope[i];
          sums[i % sums.size()] += dz[i];
        }
        const std::string size = fmt_size("", s.m, s.n, s.k);
        device_->linear_backward(dx, {dw, db, layout}, dy, x, {w, {}, layout}, slope, dx_sums);
        const double sum_error = 4e-6 * std::sqrt(static_cast<double>(out));
        expect_rounded(values_bf16(dx), dz, whole, sum_error, "dx" + size);
        // The sums may be those of dx before or after it is rounded.
        expect_close(values(dx_sums), sums, 0x1p-7, "sums of dx" + size);
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

/// Rows of logits have a pitch, so that each starts at an aligned address although V is odd. The elements in
/// the gaps have no meaning, and must not reach a product.
TEST_P(Bf16Linear, RowsMayHaveAPitch) {
  for (const Size s : {Size{130, 67, 72}, Size{5, 129, 64}, Size{64, 203, 8}, Size{200, 397, 264}}) {
    const int64_t rows = s.m, V = s.n, in = s.k, gap = (V + 63) / 64 * 64 - V;
    const Tensor x = random_bf16({rows, in}, true), w = random_bf16({V, in}, true), b = integers({V});
    const Values vx = values_bf16(x), vw = values_bf16(w);
    const Tensor y = padded(zeros({rows, V}, DType::kBF16), gap);
    device_->linear(y, x, {w, b, Layout::kOutIn}, Activation::kNone, {});
    expect_rounded(values_bf16(y), reference::linear(vx, vw, true, values(b), rows, in, V), true, 0, "y");
    const Tensor y32 = zeros({rows, V});
    device_->linear(y32, x, {w, b, Layout::kOutIn}, Activation::kNone, {});
    EXPECT_EQ(values(y32), reference::linear(vx, vw, true, values(b), rows, in, V));

    const Tensor plain = random_bf16({rows, V}, true), dy = padded(plain, gap);
    const Tensor dx = zeros({rows, in}, DType::kBF16), dw = zeros({V, in}), db = zeros({V});
    device_->linear_backward(dx, {dw, db, Layout::kOutIn}, dy, x, {w, {}, Layout::kOutIn}, {}, {});
    const auto expected = reference::linear_backward(vx, vw, true, values_bf16(plain), rows, in, V);
    expect_rounded(values_bf16(dx), expected.dx, true, 0, "dx");
    EXPECT_EQ(values(dw), expected.dw);
    EXPECT_EQ(values(db), expected.db);

    const Tensor losses = zeros({rows}), padded_losses = zeros({rows}),
                 targets = random_tokens({rows}, static_cast<int>(V));
    device_->cross_entropy_with_gradient(losses, plain, targets, 2.0f);
    device_->cross_entropy_with_gradient(padded_losses, dy, targets, 2.0f);
    EXPECT_EQ(values(losses), values(padded_losses));
    EXPECT_EQ(values_bf16(plain), values_bf16(dy));
  }
}

/// Products large enough for every kind of tile, beside the CPU's in fp32. Integers are exact in both.
TEST_P(Bf16Linear, LargeProductsAreExactToo) {
  std::vector<Size> sizes = {{200, 136, 200}};
  if (device_->preferred_dtype() == DType::kBF16)  // matrix cores: other devices would take minutes
    sizes = {{1048, 1032, 1000}, {520, 2304, 1024}, {16384, 264, 264}, {1000, 1003, 1032},
             {2500, 3080, 776},  {4100, 4104, 64},  {8200, 104, 1208}};
  const auto cpu = make_device("cpu", 0);
  std::deque<Buffer> memory;
  const auto on_cpu = [&](const Values& values, int64_t rows, int64_t columns) {
    memory.emplace_back(*cpu, values.size() * sizeof(float));
    const Tensor t(memory.back().data(), {rows, columns});
    const std::vector<float> floats(values.begin(), values.end());
    cpu->copy_to_device(t, floats.data());
    return t;
  };
  const auto from_cpu = [&](const Tensor& t, bool rounded) {
    std::vector<float> floats(static_cast<size_t>(t.size()));
    cpu->copy_to_host(floats.data(), t);
    Values result(floats.begin(), floats.end());
    if (rounded) std::ranges::transform(result, result.begin(), nearest_bf16);
    return result;
  };
  for (const Size s : sizes) {
    for (const Layout layout : {Layout::kInOut, Layout::kOutIn}) {
      memory.clear();
      const bool out_in = layout == Layout::kOutIn;
      const int64_t rows = s.m, out = s.n, in = s.k, gap = (out + 63) / 64 * 64 - out;
      const Tensor x = random_bf16({rows, in}, true), b = integers({out});
      const Tensor w = out_in ? random_bf16({out, in}, true) : random_bf16({in, out}, true);
      const Tensor plain = random_bf16({rows, out}, true), dy = padded(plain, gap),
                   slope = random_bf16({rows, in}, true);
      const Tensor y = padded(zeros({rows, out}, DType::kBF16), gap), dx = zeros({rows, in}, DType::kBF16);
      const Tensor dw = out_in ? integers({out, in}) : integers({in, out}), db = integers({out});
      const Tensor x32 = on_cpu(values_bf16(x), rows, in), w32 = on_cpu(values_bf16(w), w.dim(0), w.dim(1));
      const Tensor dy32 = on_cpu(values_bf16(plain), rows, out),
                   slope32 = on_cpu(values_bf16(slope), rows, in);
      const Tensor b32 = on_cpu(values(b), 1, out).reshape({out}),
                   db32 = on_cpu(values(db), 1, out).reshape({out});
      const Tensor y32 = on_cpu(Values(rows * out), rows, out), dx32 = on_cpu(Values(rows * in), rows, in);
      const Tensor z = padded(zeros({rows, out}, DType::kBF16), gap),
                   z32 = on_cpu(Values(rows * out), rows, out);
      const Tensor sums = zeros({in}), sums32 = on_cpu(Values(in), 1, in).reshape({in});
      const Tensor dw32 = on_cpu(values(dw), dw.dim(0), dw.dim(1));
      device_->linear(y, x, {w, b, layout}, Activation::kRelu, z);
      device_->linear_backward(dx, {dw, db, layout}, dy, x, {w, {}, layout}, slope, sums);
      cpu->linear(y32, x32, {w32, b32, layout}, Activation::kRelu, z32);
      cpu->linear_backward(dx32, {dw32, db32, layout}, dy32, x32, {w32, {}, layout}, slope32, sums32);
      const std::string size = fmt_size(out_in ? "out,in" : "in,out", rows, out, in);
      EXPECT_EQ(values_bf16(y), from_cpu(y32, true)) << size;
      EXPECT_EQ(values_bf16(z), from_cpu(z32, true)) << size;
      EXPECT_EQ(values_bf16(dx), from_cpu(dx32, true)) << size;
      EXPECT_EQ(values(dw), from_cpu(dw32, false)) << size;
      EXPECT_EQ(values(db), from_cpu(db32, false)) << size;
      expect_close(values(sums), from_cpu(sums32, false), 0x1p-7, "sums of dx" + size);
    }
  }
}

TEST_P(Bf16Linear, CrossEntropyAgreesWithTheFormula) {
  for (const int64_t V : {100, 500, 601, 8193, 16001, 50257, 60001}) {
    for (const int64_t gap : {int64_t{0}, (V + 63) / 64 * 64 - V}) {
      const int64_t rows = 3;
      const Tensor z = padded(random_bf16({rows, V}, false), gap), losses = zeros({rows});
      const Tensor targets = random_tokens({rows}, static_cast<int>(V));
      const Values logits = values_bf16(z);
      const std::vector<int32_t> wanted = tokens(targets);
      const Values expected = reference::cross_entropy(logits, wanted);
      device_->cross_entropy(losses, z, targets);
      expect_close(values(losses), expected, 1e-5, fmt_size("losses", V, gap));
      device_->cross_entropy_with_gradient(losses, z, targets, 0.5f);
      expect_close(values(losses), expected, 1e-5, fmt_size("losses with gradient", V, gap));
      const Values gradient = values_bf16(z);
      for (int64_t i = 0; i < rows; ++i) {
        double total = 0.0;
        for (int64_t j = 0; j < V; ++j) total += std::exp(logits[static_cast<size_t>(i * V + j)]);
        for (int64_t j = 0; j < V; ++j) {
          const auto k = static_cast<size_t>(i * V + j);
          const double exact =
              0.5 * (std::exp(logits[k]) / total - (j == wanted[static_cast<size_t>(i)] ? 1 : 0));
          ASSERT_NEAR(gradient[k], exact, std::fabs(exact) * 0x1.1p-8) << V << " " << j;
        }
      }
    }
  }
}

TEST_P(Bf16Linear, AdamWAlsoWritesRoundedParameters) {
  for (const int64_t n : {1, 7, 1024, 1030}) {
    for (const int64_t count : {n, n / 2 + 1}) {
      const Tensor p = random({n}), g = random({n}), m = zeros({n}), v = zeros({n});
      const Tensor rounded = zeros({count}, DType::kBF16), again = zeros({count}, DType::kBF16);
      device_->adamw(p, rounded, g, m, v, tensor(std::vector<float>{1.0f}),
                     tensor(std::vector<float>{0.1f, 10.0f, 10.0f}), {});
      const Values params = values(p), copy = values_bf16(rounded);
      for (size_t i = 0; i < copy.size(); ++i) ASSERT_EQ(copy[i], nearest_bf16(params[i])) << i;
      device_->round_to_bf16(again, p.rows(0, count));
      EXPECT_EQ(values_bf16(again), copy);
    }
  }
}

TEST_P(Bf16Linear, GivesTheSameBitsAgain) {
#ifdef HIPGPT_EMULATED
  const int64_t rows = 70, in = 264, out = 72, times = 2;
#else
  const int64_t rows = 300, in = 1000, out = 136, times = 3;
#endif
  const Tensor x = random_bf16({rows, in}, false), w = random_bf16({in, out}, false);
  const Tensor y = zeros({rows, out}, DType::kBF16), dw = zeros({in, out}),
               dx = zeros({rows, in}, DType::kBF16);
  Values first_y, first_dw;
  for (int64_t i = 0; i < times; ++i) {
    device_->set_zero(dw);
    device_->linear(y, x, {w, {}}, Activation::kNone, {});
    device_->linear_backward(dx, {dw, {}}, y, x, {w, {}}, {}, {});
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

// ---- Attention ------------------------------------------------------------------------------------------

/// x and W, which is bf16 or int8, with rows of x whose mean is far from 0.
TEST_P(Bf16Linear, OfFewRowsAgreesWithItsFormula) {
  struct Shape {
    int64_t rows, in, out;
  };
  for (const Shape s : {Shape{1, 768, 21},
                        {2, 768, 8},
                        {1, 1024, 9},
                        {2, 3072, 7},
                        {1, 40, 33},
                        {1, 2080, 5},
                        {3, 64, 40},
                        {8, 288, 17},
                        {9, 512, 33},
                        {17, 64, 40},
                        {32, 1056, 20},
                        {33, 64, 24},
                        {5, 20, 7}}) {
    for (const DType format : {DType::kBF16, DType::kInt8}) {
      for (const bool scaled : {false, true}) {
        const Tensor x = shifted_bf16({s.rows, s.in}), b = random({s.out}), wide = zeros({s.rows, s.out});
        const Tensor residual = random_bf16({s.rows, s.out}, false), y = zeros({s.rows, s.out}, DType::kBF16);
        const auto [w, values_of_w] = weight(s.out, s.in, format);
        const Values vx = values_bf16(x), vb = values(b), vr = values_bf16(residual);
        Values plain, all;
        for (int64_t i = 0; i < s.rows; ++i) {
          const double* const row = vx.data() + i * s.in;
          double mean = 0, variance = 0;
          for (int64_t k = 0; k < s.in; ++k) mean += row[k] / static_cast<double>(s.in);
          for (int64_t k = 0; k < s.in; ++k)
            variance += (row[k] - mean) * (row[k] - mean) / static_cast<double>(s.in);
          const double scale = scaled ? 1.0 / std::sqrt(variance + 1e-5) : 1.0;
          for (int64_t j = 0; j < s.out; ++j) {
            double sum = 0;
            for (int64_t k = 0; k < s.in; ++k) sum += row[k] * values_of_w[static_cast<size_t>(j * s.in + k)];
            plain.push_back(scale * sum);
            all.push_back(reference::activation(Activation::kGelu, scale * sum + vb[static_cast<size_t>(j)]) +
                          vr[static_cast<size_t>(i * s.out + j)]);
          }
        }
        const std::string name =
            fmt_size(scaled ? "scaled" : "plain", s.rows, s.out, s.in) + to_string(format);
        device_->fused_linear(y, residual, x, scaled, {w, b, Layout::kOutIn}, Activation::kGelu);
        expect_close(values_bf16(y), all, 0x1p-7, name);
        device_->fused_linear(wide, {}, x, scaled, {w, {}, Layout::kOutIn}, Activation::kNone);
        expect_close(values(wide), plain, 0x1p-7, name + " in fp32");
        if (format == DType::kInt8) {
          device_->linear(wide, x, {w, b, Layout::kOutIn}, Activation::kNone, {});
          Values with_bias = scaled ? Values() : plain;
          for (size_t i = 0; i < with_bias.size(); ++i) with_bias[i] += vb[i % vb.size()];
          if (!scaled) expect_close(values(wide), with_bias, 0x1p-7, name + " by linear");
        }
      }
    }
  }
}

TEST_P(Bf16Linear, ATableInInt8GivesItsRows) {
  for (const int64_t E : {64, 40, 72}) {
    const int64_t V = 9, S = 4;
    const auto [table, rows] = weight(V, E, DType::kInt8);
    const Tensor positions = random_bf16({S, E}, false), y = zeros({3, E}, DType::kBF16);
    const std::vector<int32_t> ids = {8, 0, 5};
    const Values vp = values_bf16(positions);
    Values expected;
    for (size_t t = 0; t < ids.size(); ++t) {
      for (int64_t e = 0; e < E; ++e)
        expected.push_back(rows[static_cast<size_t>(ids[t] * E + e)] +
                           vp[t * static_cast<size_t>(E) + static_cast<size_t>(e)]);
    }
    device_->embedding(y, tensor(ids).reshape({1, 3}), table, positions, {});
    expect_close(values_bf16(y), expected, 0x1p-8, "embedding of " + std::to_string(E));
  }
}

class Bf16Attention : public Bf16Linear {};

/// Attention beside the formula in double precision. Probabilities and their gradients are rounded to bf16
/// before the second product, and so are the results.
TEST_P(Bf16Attention, AgreesWithTheFormula) {
  struct Case {
    int64_t B, T;
    int heads;
    int64_t D;
    float p;
  };
#ifdef HIPGPT_EMULATED
  const Case large{1, 261, 1, 64, 0.2f};
#else
  const Case large{2, 261, 2, 64, 0.2f};
#endif
  for (const Case c :
       {Case{1, 1, 1, 8, 0}, Case{2, 17, 2, 32, 0}, Case{1, 130, 1, 64, 0}, large, Case{2, 3, 1, 64, 0},
        Case{1, 70, 2, 20, 0.2f}, Case{1, 100, 1, 96, 0.1f}, Case{1, 67, 1, 128, 0}, Case{1, 33, 3, 7, 0},
        Case{1, 35, 1, 132, 0}, Case{1, 40, 2, 200, 0.1f}}) {
    const int64_t E = c.heads * c.D;
    const Tensor qkv = random_bf16({c.B * c.T, 3 * E}, false).reshape({c.B, c.T, 3 * E});
    const Tensor out = zeros({c.B, c.T, E}, DType::kBF16), lse = zeros({c.B, c.heads, c.T});
    const Tensor dout = random_bf16({c.B * c.T, E}, false).reshape({c.B, c.T, E});
    const Tensor dqkv = zeros({c.B, c.T, 3 * E}, DType::kBF16);
    const Dropout dropout{.p = c.p, .seed = 3, .micro_step = tensor(std::vector<int32_t>{2}), .site = 1};
    device_->attention(out, lse, qkv, c.heads, dropout);
    const Tensor sums = random({3 * E});
    const Values sums_before = values(sums);
    device_->attention_backward(dqkv, dout, qkv, out, lse, c.heads, dropout, sums);

    // The same in fp32 on a CPU, which other tests compare with the formula.
    const auto cpu = make_device("cpu", 1);
    const auto upload = [&](const Values& v, std::deque<Buffer>& memory,
                            std::initializer_list<int64_t> shape) {
      const Tensor t = Tensor(nullptr, shape);
      memory.emplace_back(*cpu, t.bytes());
      const std::vector<float> floats(v.begin(), v.end());
      cpu->copy_to_device(t.at(memory.back().data()), floats.data());
      return t.at(memory.back().data());
    };
    std::deque<Buffer> memory;
    const auto flat = [&](const Tensor& t) { return values_bf16(t.reshape({t.size()})); };
    const Values none(static_cast<size_t>(c.B * c.T * E)), wide(static_cast<size_t>(c.B * c.T * 3 * E));
    const Tensor qkv32 = upload(flat(qkv), memory, {c.B, c.T, 3 * E}),
                 out32 = upload(none, memory, {c.B, c.T, E});
    const Tensor lse32 =
        upload(Values(static_cast<size_t>(c.B * c.heads * c.T)), memory, {c.B, c.heads, c.T});
    const Tensor dout32 = upload(flat(dout), memory, {c.B, c.T, E}),
                 dqkv32 = upload(wide, memory, {c.B, c.T, 3 * E});
    Dropout dropout32 = dropout;
    const Buffer step(*cpu, 4);
    dropout32.micro_step = Tensor(step.data(), {1}, DType::kI32);
    const int32_t two = 2;
    cpu->copy_to_device(dropout32.micro_step, &two);
    cpu->attention(out32, lse32, qkv32, c.heads, dropout32);
    cpu->attention_backward(dqkv32, dout32, qkv32, out32, lse32, c.heads, dropout32, {});
    const auto download = [&](const Tensor& t) {
      std::vector<float> v(static_cast<size_t>(t.size()));
      cpu->copy_to_host(v.data(), t);
      return Values(v.begin(), v.end());
    };
    const std::string size = fmt_size("attention", c.T, c.heads, c.D);
    expect_close(flat(out), download(out32), 0x1p-7, size);
    expect_close(values(lse), download(lse32), 1e-5, size + " lse");
    expect_close(flat(dqkv), download(dqkv32), 0x1p-6, size + " dqkv");
    Values expected_sums = sums_before;
    const Values gradient = download(dqkv32);
    for (size_t i = 0; i < gradient.size(); ++i) expected_sums[i % expected_sums.size()] += gradient[i];
    expect_close(values(sums), expected_sums, 0x1p-6, size + " sums of dqkv");
  }
}

/// On a GPU, there are so many heads that a block takes tiles of several, in another order than for one.
TEST_P(Bf16Attention, OfManyHeadsGivesTheBitsOfEach) {
#ifdef HIPGPT_EMULATED
  const bool is_gpu = false;
#else
  const bool is_gpu = GetParam().name == "hip";
#endif
  const int64_t B = is_gpu ? 40 : 2, T = is_gpu ? 500 : 70, D = 64;
  const int H = is_gpu ? 12 : 2;
  const int64_t E = H * D;
  const Tensor qkv = random_bf16({B * T, 3 * E}, false).reshape({B, T, 3 * E});
  const Tensor dout = random_bf16({B * T, E}, false).reshape({B, T, E});
  const Tensor out = zeros({B, T, E}, DType::kBF16), lse = zeros({B, H, T}),
               dqkv = zeros({B, T, 3 * E}, DType::kBF16);
  const Tensor out1 = zeros({1, T, E}, DType::kBF16), lse1 = zeros({1, H, T}),
               dqkv1 = zeros({1, T, 3 * E}, DType::kBF16);
  device_->attention(out, lse, qkv, H, {});
  device_->attention_backward(dqkv, dout, qkv, out, lse, H, {}, {});
  for (int64_t b = 0; b < B; b += B - 1) {
    device_->attention(out1, lse1, qkv.rows(b, 1), H, {});
    device_->attention_backward(dqkv1, dout.rows(b, 1), qkv.rows(b, 1), out1, lse1, H, {}, {});
    const auto flat = [&](const Tensor& t) { return values_bf16(t.reshape({t.size()})); };
    EXPECT_EQ(flat(out.rows(b, 1)), flat(out1)) << b;
    EXPECT_EQ(flat(dqkv.rows(b, 1)), flat(dqkv1)) << b;
    EXPECT_EQ(values(lse.rows(b, 1)), values(lse1)) << b;
  }
}

TEST_P(Bf16Attention, OfNewTokensAgreesWithAllAtOnce) {
  for (const int64_t D : {16, 64}) {
    const int64_t B = 2, T = 70, S = 80, H = 2, E = H * D;
    const Tensor qkv = random_bf16({B * T, 3 * E}, false).reshape({B, T, 3 * E});
    const Tensor all = zeros({B, T, E}, DType::kBF16), lse = zeros({B, H, T});
    device_->attention(all, lse, qkv, H, {});
    const Values expected = values_bf16(all.reshape({all.size()}));
    const Tensor keys = zeros({B, S, E}, DType::kBF16), cached = zeros({B, S, E}, DType::kBF16);
    int64_t past = 0;
    for (const int64_t count : {1, 40, 1, 1, 27}) {
      const Tensor part = zeros({B, count, 3 * E}, DType::kBF16), out = zeros({B, count, E}, DType::kBF16);
      for (int64_t b = 0; b < B; ++b) {
        device_->copy(part.rows(b, 1).reshape({count * 3 * E}),
                      qkv.rows(b, 1).reshape({T, 3 * E}).rows(past, count).reshape({count * 3 * E}));
      }
      device_->attention_cached(out, keys, cached, part, H,
                                tensor(std::vector<int32_t>{static_cast<int32_t>(past)}));
      const Values v = values_bf16(out.reshape({out.size()}));
      Values wanted;
      for (int64_t b = 0; b < B; ++b) {
        const auto from = expected.begin() + (b * T + past) * E;
        wanted.insert(wanted.end(), from, from + count * E);
      }
      expect_close(v, wanted, 0x1p-7, fmt_size("cached", past, count, D));
      past += count;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Bf16Linear, testing::ValuesIn(all_devices_and_levels()), case_name);
INSTANTIATE_TEST_SUITE_P(Devices, Bf16Attention, testing::ValuesIn(all_devices_and_levels()), case_name);

}  // namespace
}  // namespace hipgpt
