// The kernels of gemm.h, at every level that this processor has: all orientations, sizes around their blocks, and
// the same bits from any number of threads.
#include "cpu/gemm.h"

#include <cstring>
#include <limits>
#include <type_traits>

#include "device_fixture.h"
#include "forced_level.h"
#include "util/bf16.h"

namespace hipgpt {
namespace {

using cpu::VectorLevel;

/// Levels for which gemm() has kernels.
std::vector<VectorLevel> gemm_levels() {
  std::vector<VectorLevel> all;
  for (const VectorLevel level : {VectorLevel::kAVX512, VectorLevel::kAMX}) {
    if (level <= cpu::processor_level()) all.push_back(level);
  }
  return all;
}

/// A matrix in memory of exactly its size, so that sanitizers see every access outside it, with NaN between rows.
template <typename T>
struct RandomMatrix {
  int64_t pitch;
  std::vector<T> bits;
  std::vector<double> values;

  RandomMatrix(int64_t rows, int64_t cols, int64_t gap, std::mt19937& generator) : pitch(cols + gap) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < (i + 1 < rows ? pitch : cols); ++j) {
        const float nan = std::numeric_limits<float>::quiet_NaN();
        const float x = j < cols ? std::uniform_real_distribution<float>(-1, 1)(generator) : nan;
        if constexpr (std::is_same_v<T, float>) {
          bits.push_back(x);
          values.push_back(x);
        } else {
          bits.push_back(to_bf16(x));
          values.push_back(from_bf16(bits.back()));
        }
      }
    }
  }
};

struct Shape {
  int64_t m, n, k;
};

/// Blocks have 8 rows and 48 columns or 32 and 32; depths are 192 or 512, and words pairs of bf16.
constexpr Shape kShapes[] = {{1, 1, 1},     {2, 3, 2},      {7, 47, 191},   {8, 48, 192}, {9, 49, 193},
                             {31, 33, 511}, {32, 32, 512},  {33, 65, 513},  {40, 16, 31}, {64, 96, 1030},
                             {5, 130, 33},  {128, 64, 384}, {17, 100, 1025}};

template <typename T>
void compare_with_doubles(VectorLevel level) {
  std::mt19937 generator(1);
  for (const Shape& s : kShapes) {
    for (int variant = 0; variant < 16; ++variant) {
      const bool ta = (variant & 1) != 0, tb = (variant & 2) != 0, accumulate = (variant & 4) != 0;
      const int64_t gap = (variant & 8) != 0 ? 3 : 0;
      const RandomMatrix<T> a(ta ? s.k : s.m, ta ? s.m : s.k, gap, generator),
          b(tb ? s.n : s.k, tb ? s.k : s.n, gap, generator);
      const RandomMatrix<float> before(s.m, s.n, gap, generator);
      std::vector<float> c = before.bits;
      ASSERT_TRUE(cpu::gemm(cpu::Gemm<T>{c.data(), a.bits.data(), b.bits.data(), s.m, s.n, s.k, a.pitch,
                                         b.pitch, before.pitch, ta, tb, accumulate},
                            level));
      for (size_t at = 0; at < c.size(); ++at) {
        const auto i = static_cast<int64_t>(at) / before.pitch, j = static_cast<int64_t>(at) % before.pitch;
        if (j >= s.n) {
          ASSERT_EQ(std::memcmp(&c[at], &before.bits[at], sizeof(float)), 0) << "between rows";
          continue;
        }
        double sum = accumulate ? before.values[at] : 0.0, size = std::fabs(sum);
        for (int64_t k = 0; k < s.k; ++k) {
          const double product = a.values[static_cast<size_t>(ta ? k * a.pitch + i : i * a.pitch + k)] *
                                 b.values[static_cast<size_t>(tb ? j * b.pitch + k : k * b.pitch + j)];
          sum += product;
          size += std::fabs(product);
        }
        ASSERT_NEAR(c[at], sum, size * 4e-6)
            << fmt_size("", s.m, s.n, s.k) << " variant " << variant << " at " << i << " " << j;
      }
    }
  }
}

TEST(Gemm, AgreesWithDoublesInFp32) {
  for (const VectorLevel level : gemm_levels()) compare_with_doubles<float>(level);
}

TEST(Gemm, AgreesWithDoublesInBf16) {
  for (const VectorLevel level : gemm_levels()) compare_with_doubles<uint16_t>(level);
}

TEST(Gemm, LeavesLowerLevelsToOthers) {
  float c = 7.0f;
  const float x = 2.0f;
  EXPECT_FALSE(cpu::gemm(cpu::Gemm<float>{&c, &x, &x, 1, 1, 1, 1, 1, 1}, VectorLevel::kAVX2));
  const uint16_t bits = to_bf16(x);
  EXPECT_FALSE(cpu::gemm(cpu::Gemm<uint16_t>{&c, &bits, &bits, 1, 1, 1, 1, 1, 1}, VectorLevel::kAVX2));
  EXPECT_EQ(c, 7.0f);
}

/// The bits that linear layers and attention give with a number of threads.
std::vector<std::vector<std::byte>> results(DType type, int threads) {
  const auto device = make_device("cpu", threads);
  std::mt19937 generator(1);
  std::deque<Buffer> memory;
  const auto tensor = [&](std::initializer_list<int64_t> shape, DType dtype) {
    const Tensor shaped(nullptr, shape, dtype);
    memory.emplace_back(*device, shaped.bytes());
    const Tensor t = shaped.at(memory.back().data());
    for (int64_t i = 0; i < t.size(); ++i) {
      const float x = std::uniform_real_distribution<float>(-1, 1)(generator);
      dtype == DType::kF32 ? void(t.f32()[i] = x) : void(t.bf16()[i] = to_bf16(x));
    }
    return t;
  };
  constexpr int64_t R = 300, kIn = 200, kOut = 650, B = 2, T = 150, E = 96;
  const Tensor x = tensor({R, kIn}, type), w = tensor({kIn, kOut}, type), b = tensor({kOut}, DType::kF32);
  const Tensor y = tensor({R, kOut}, type), slope = tensor({R, kOut}, type), factor = tensor({R, kIn}, type),
               dx = tensor({R, kIn}, type);
  const Tensor dw = tensor({kIn, kOut}, DType::kF32), db = tensor({kOut}, DType::kF32),
               dx_sums = tensor({kIn}, DType::kF32), dqkv_sums = tensor({3 * E}, DType::kF32);
  device->linear(y, x, {w, b}, Activation::kGelu, slope);
  device->linear_backward(dx, {dw, db}, y, x, {w, b}, factor, dx_sums);
  const Tensor qkv = tensor({B, T, 3 * E}, type), out = tensor({B, T, E}, type),
               dout = tensor({B, T, E}, type), dqkv = tensor({B, T, 3 * E}, type),
               lse = tensor({B, 3, T}, DType::kF32);
  device->attention(out, lse, qkv, 3, {});
  device->attention_backward(dqkv, dout, qkv, out, lse, 3, {}, dqkv_sums);
  const Tensor logits = tensor({R, 777}, type), losses = tensor({R}, DType::kF32),
               targets = tensor({R}, DType::kF32);
  std::memset(targets.data(), 0, targets.bytes());
  device->cross_entropy_with_gradient(losses, logits, Tensor(targets.data(), {R}, DType::kI32), 1e-3f);
  std::vector<std::vector<std::byte>> all;
  for (const Tensor& t : {y, slope, dx, dw, db, dx_sums, out, lse, dqkv, dqkv_sums, logits, losses}) {
    const auto* bytes = static_cast<const std::byte*>(t.data());
    all.emplace_back(bytes, bytes + t.bytes());
  }
  return all;
}

TEST(Gemm, TheNumberOfThreadsDoesNotChangeABit) {
  for (const VectorLevel level :
       {VectorLevel::kBaseline, VectorLevel::kAVX2, VectorLevel::kAVX512, VectorLevel::kAMX}) {
    if (level > cpu::processor_level()) continue;
    const ForcedLevel forced(level);
    const auto f32 = results(DType::kF32, 1), bf16 = results(DType::kBF16, 1);
    for (const int threads : {2, 5}) {
      EXPECT_EQ(results(DType::kF32, threads), f32) << to_string(level);
      EXPECT_EQ(results(DType::kBF16, threads), bf16) << to_string(level);
    }
  }
}

}  // namespace
}  // namespace hipgpt
