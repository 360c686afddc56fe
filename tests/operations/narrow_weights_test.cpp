// Products with weights in bf16 and int8: the conversion, every kernel that this processor can run, and the
// operations that read such weights.
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "checkpoint/narrow_weights.h"
#include "cpu/matvec.h"
#include "cpu/widen.h"
#include "device_fixture.h"
#include "error.h"
#include "error_of.h"
#include "forced_level.h"
#include "huggingface.h"
#include "kv_cache.h"
#include "training_pass.h"
#include "util/bf16.h"

namespace hipgpt {
namespace {

using cpu::Matvec;
using cpu::VectorLevel;
using reference::Values;

constexpr DType kFormats[] = {DType::kF32, DType::kBF16, DType::kInt8};

std::vector<float> random_floats(int64_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = std::normal_distribution<float>()(generator);
  return values;
}

/// A matrix [rows,columns] of a file, in fp32.
SafetensorsTensor stored(const std::vector<float>& values, int64_t rows, int64_t columns) {
  return {"w",
          "F32",
          {static_cast<uint64_t>(rows), static_cast<uint64_t>(columns)},
          std::as_bytes(std::span(values))};
}

/// A weight [out,in] with memory of its own, converted from fp32 values.
class Weight {
 public:
  Weight(const std::vector<float>& values, int64_t out, int64_t in, DType dtype,
         Layout layout = Layout::kOutIn)
      : shape_(nullptr, {out, in}, dtype), memory_(shape_.bytes() + 1) {
    if (dtype == DType::kF32) {
      std::memcpy(memory_.data(), values.data(), shape_.bytes());
    } else if (layout == Layout::kOutIn) {
      convert_weight(tensor(), stored(values, out, in), layout);
    } else {
      convert_weight(tensor(), stored(values, in, out), layout);
    }
  }

  Tensor tensor() { return shape_.at(memory_.data()); }

  /// The values that the format represents.
  Values values() {
    const int64_t in = shape_.dim(1);
    std::vector<float> row(static_cast<size_t>(in));
    Values all;
    for (int64_t j = 0; j < shape_.dim(0); ++j) {
      cpu::widen_row(row.data(), tensor(), j);
      all.insert(all.end(), row.begin(), row.end());
    }
    return all;
  }

 private:
  Tensor shape_;
  std::vector<std::byte> memory_;
};

/// The levels that this processor can run.
std::vector<VectorLevel> levels() {
  std::vector<VectorLevel> all;
  for (const VectorLevel level : {VectorLevel::kBaseline, VectorLevel::kAVX2, VectorLevel::kAVX512}) {
    if (level <= cpu::processor_level()) all.push_back(level);
  }
  return all;
}

TEST(NarrowWeights, ConversionIsWithinHalfAUnit) {
  for (const int64_t in : {1, 63, 64, 65, 200}) {
    const int64_t out = 3;
    const std::vector<float> w = random_floats(out * in, 1);
    const Values bf16 = Weight(w, out, in, DType::kBF16).values(),
                 int8 = Weight(w, out, in, DType::kInt8).values();
    for (int64_t i = 0; i < out * in; ++i) {
      const auto at = static_cast<size_t>(i);
      EXPECT_LE(std::fabs(bf16[at] - w[at]), std::fabs(w[at]) * 0x1p-8) << in << " at " << i;
      const int64_t row = i / in * in, first = row + i % in / 64 * 64;
      float most = 0.0f;
      for (int64_t k = first; k < std::min(first + 64, row + in); ++k)
        most = std::max(most, std::fabs(w[static_cast<size_t>(k)]));
      EXPECT_LE(std::fabs(int8[at] - w[at]), 0.5001 * most / 127) << in << " at " << i;
    }
  }
}

TEST(NarrowWeights, ZerosAndTinyValuesBecomeZeros) {
  for (const float value : {0.0f, -0.0f, 1e-38f, 1e-44f}) {
    const Values int8 = Weight(std::vector<float>(64, value), 1, 64, DType::kInt8).values();
    for (const double v : int8) EXPECT_EQ(v, 0.0) << value;
  }
}

TEST(NarrowWeights, TheLastGroupOfARowEndsWithZeros) {
  Weight weight(std::vector<float>(2 * 65, 3.0f), 2, 65, DType::kInt8);
  const Int8Group* groups = weight.tensor().int8();
  for (const int last : {1, 3}) {
    EXPECT_EQ(groups[last].values[0], 127);
    for (int k = 1; k < 64; ++k) EXPECT_EQ(groups[last].values[k], 0);
  }
}

TEST(NarrowWeights, AFileThatStoresInputsFirstIsTransposed) {
  const int64_t out = 130, in = 70;
  const std::vector<float> w = random_floats(out * in, 2);
  std::vector<float> transposed(w.size());
  for (int64_t j = 0; j < out; ++j) {
    for (int64_t k = 0; k < in; ++k)
      transposed[static_cast<size_t>(k * out + j)] = w[static_cast<size_t>(j * in + k)];
  }
  for (const DType format : {DType::kBF16, DType::kInt8}) {
    EXPECT_EQ(Weight(transposed, out, in, format, Layout::kInOut).values(),
              Weight(w, out, in, format).values());
  }
}

/// The values of x [rows,in] that a product with an int8 weight reads.
Values rounded(const std::vector<float>& x, int64_t rows, int64_t in) {
  std::vector<cpu::RoundedGroup> groups(static_cast<size_t>((in + 63) / 64));
  Values all;
  for (int64_t r = 0; r < rows; ++r) {
    cpu::round_row(groups.data(), x.data() + r * in, in);
    for (int64_t k = 0; k < in; ++k) {
      const cpu::RoundedGroup& group = groups[static_cast<size_t>(k / 64)];
      all.push_back(static_cast<double>(group.scale) * group.values[k % 64]);
    }
  }
  return all;
}

/// The same for a weight of any format.
Values read_by(DType format, const std::vector<float>& x, int64_t rows, int64_t in) {
  return format == DType::kInt8 ? rounded(x, rows, in) : Values(x.begin(), x.end());
}

TEST(NarrowWeights, RowsOfXAreRoundedToTheNearest) {
  for (const int64_t in : {1, 63, 64, 65, 200}) {
    const std::vector<float> x = random_floats(2 * in, 11);
    const Values near = rounded(x, 2, in);
    for (int64_t i = 0; i < 2 * in; ++i) {
      const int64_t row = i / in * in, first = row + i % in / 64 * 64;
      float most = 0.0f;
      for (int64_t k = first; k < std::min(first + 64, row + in); ++k)
        most = std::max(most, std::fabs(x[static_cast<size_t>(k)]));
      EXPECT_LE(std::fabs(near[static_cast<size_t>(i)] - x[static_cast<size_t>(i)]), 0.5001 * most / 127)
          << in << " at " << i;
    }
  }
}

TEST(NarrowWeights, ARoundedGroupHasTheSumOfItsValuesAndEndsWithZeros) {
  const std::vector<float> x = random_floats(70, 12);
  cpu::RoundedGroup groups[2];
  cpu::round_row(groups, x.data(), 70);
  for (const cpu::RoundedGroup& group : groups)
    EXPECT_EQ(group.sum, std::accumulate(std::begin(group.values), std::end(group.values), 0));
  for (int k = 6; k < 64; ++k) EXPECT_EQ(groups[1].values[k], 0);
}

TEST(NarrowWeights, TinyRowsOfXBecomeZerosAndOthersThatAreNotFiniteStayNotFinite) {
  for (const float value : {0.0f, -0.0f, 1e-38f, 1e-44f})
    EXPECT_EQ(rounded({value, value}, 1, 2), Values(2, 0.0)) << value;
  Weight weight(random_floats(4 * 64, 13), 4, 64, DType::kInt8);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    for (const VectorLevel level : levels()) {
      std::vector<float> x(64, 1.0f), y(4, 0.0f);
      x[40] = bad;
      Matvec(y.data(), 4, x.data(), 1, weight.tensor()).columns(0, 4, level);
      for (const float v : y) EXPECT_FALSE(std::isfinite(v)) << bad << ", " << to_string(level);
    }
  }
}

/// The sums of 64 products of the largest magnitudes, for which 16 bits are barely enough.
TEST(NarrowWeights, SumsOfIntegersDoNotOverflow) {
  for (const float sign : {1.0f, -1.0f}) {
    Weight weight(std::vector<float>(4 * 128, sign), 4, 128, DType::kInt8);
    for (const float value : {1.0f, -1.0f}) {
      for (const VectorLevel level : levels()) {
        std::vector<float> x(128, value), y(4, 0.0f);
        Matvec(y.data(), 4, x.data(), 1, weight.tensor()).columns(0, 4, level);
        for (const float v : y) EXPECT_NEAR(v, sign * value * 128, 1e-4) << to_string(level);
      }
    }
  }
}

/// The exact product of the values that the format represents. The error of a sum in fp32 is bounded by that
/// of its terms: in * 2^-24 * sum_k |w_k x_k|, and the sums of the kernels are shorter.
TEST(NarrowWeights, EveryKernelIsTheProduct) {
  for (const VectorLevel level : levels()) {
    for (const DType format : kFormats) {
      for (const int64_t in : {1, 8, 63, 64, 65, 127, 128, 200, 768}) {
        for (const int64_t rows : {1, 2, 3, 4, 5, 8}) {
          const int64_t out = 11, pitch = out + 2;
          Weight weight(random_floats(out * in, 3), out, in, format);
          const std::vector<float> x = random_floats(rows * in, 4);
          std::vector<float> y(static_cast<size_t>(rows * pitch), -7.0f);
          Matvec(y.data(), pitch, x.data(), rows, weight.tensor()).columns(1, out, level);
          const Values w = weight.values(), v = read_by(format, x, rows, in);
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t j = 1; j < out; ++j) {
              double exact = 0.0, terms = 0.0;
              for (int64_t k = 0; k < in; ++k) {
                const double term = w[static_cast<size_t>(j * in + k)] * v[static_cast<size_t>(r * in + k)];
                exact += term;
                terms += std::fabs(term);
              }
              ASSERT_NEAR(y[static_cast<size_t>(r * pitch + j)], exact,
                          0x1p-24 * (16 + 0.3 * static_cast<double>(in)) * terms)
                  << to_string(level) << ", " << to_string(format) << " [" << out << "," << in << "], row "
                  << r << " of " << rows << ", column " << j;
            }
            EXPECT_EQ(y[static_cast<size_t>(r * pitch)], -7.0f) << "outside of the columns";
            EXPECT_EQ(y[static_cast<size_t>(r * pitch + out)], -7.0f) << "between rows";
          }
        }
      }
    }
  }
}

/// The operations, with one thread and with three.
class NarrowOperations : public DeviceTest {
 protected:
  /// linear() with a bias, an activation and, if `with_slope`, its slope. A CPU's tensors may be in any
  /// memory.
  static std::vector<float> result_of(Device& device, Weight& weight, int64_t rows, Activation act,
                                      bool with_slope) {
    const int64_t out = weight.tensor().dim(0), in = weight.tensor().dim(1);
    std::vector<float> x = random_floats(rows * in, 5), bias = random_floats(out, 6),
                       y(static_cast<size_t>(rows * out)), z = y;
    device.linear({y.data(), {rows, out}}, {x.data(), {rows, in}},
                  {weight.tensor(), {bias.data(), {out}}, Layout::kOutIn}, act,
                  with_slope ? Tensor(z.data(), {rows, out}) : Tensor());
    return y;
  }
};

INSTANTIATE_TEST_SUITE_P(Threads, NarrowOperations,
                         testing::Values(DeviceCase{"cpu", 1}, DeviceCase{"cpu", 3}), case_name);

TEST_P(NarrowOperations, LinearIsTheProductBiasAndActivation) {
  for (const VectorLevel level : levels()) {
    const ForcedLevel forced(level);
    for (const DType format : kFormats) {
      for (const int64_t rows : {1, 8, 9, 70}) {
        const int64_t out = 300, in = 96;
        Weight weight(random_floats(out * in, 7), out, in, format);
        const std::vector<float> x = random_floats(rows * in, 5), b = random_floats(out, 6);
        const bool few = rows <= 8;  // a product of more rows reads x in fp32
        Values expected = reference::linear(few ? read_by(format, x, rows, in) : Values(x.begin(), x.end()),
                                            weight.values(), true, {b.begin(), b.end()}, rows, in, out);
        for (double& v : expected) v = reference::activation(Activation::kGelu, v);
        for (const bool with_slope : {false, true}) {
          const std::vector<float> y = result_of(*device_, weight, rows, Activation::kGelu, with_slope);
          expect_close({y.begin(), y.end()}, expected, 2e-6, fmt_size(to_string(format), rows, out, in));
        }
      }
    }
  }
}

TEST_P(NarrowOperations, TheNumberOfThreadsDoesNotChangeTheBits) {
  const auto two = make_device("cpu", 2);
  for (const DType format : kFormats) {
    for (const int64_t rows : {1, 5, 40}) {
      Weight weight(random_floats(1000 * 256, 8), 1000, 256, format);
      EXPECT_EQ(result_of(*device_, weight, rows, Activation::kRelu, false),
                result_of(*two, weight, rows, Activation::kRelu, false))
          << to_string(format) << " " << rows;
    }
  }
}

TEST_P(NarrowOperations, EmbeddingReadsNarrowRows) {
  for (const DType format : {DType::kBF16, DType::kInt8}) {
    const int64_t V = 20, E = 72;
    Weight wte(random_floats(V * E, 9), V, E, format);
    const Tensor y = zeros({3, E}), wpe = random({4, E}), ids = tensor(std::vector<int32_t>{19, 0, 7});
    device_->embedding(y, ids.reshape({1, 3}), wte.tensor(), wpe, {});
    const Values expected = reference::embedding({19, 0, 7}, wte.values(), values(wpe), 3, E);
    expect_close(values(y), expected, 1e-7, to_string(format));
  }
}

/// Attention to caches in fp32 and bf16, which hold the rounded keys and values.
TEST_P(NarrowOperations, CachedAttentionReadsCachesOfBothTypes) {
  const int64_t B = 2, T = 75, H = 2, S = T + 1;
  for (const VectorLevel level : levels()) {
    const ForcedLevel forced(level);
    for (const DType cache : {DType::kF32, DType::kBF16}) {
      for (const int64_t D : {5, 8, 40, 64, 72}) {
        const int64_t E = H * D;
        const std::vector<float> qkv = random_floats(B * T * 3 * E, 11);
        Values read(qkv.begin(), qkv.end());
        for (size_t i = 0; i < read.size(); ++i) {
          const bool query = static_cast<int64_t>(i) % (3 * E) < E;
          if (!query && cache == DType::kBF16) read[i] = from_bf16(to_bf16(qkv[i]));
        }
        const Values expected =
            reference::attention(read, B, T, H, E, [](int64_t, int64_t, int64_t) { return 1.0; });
        std::vector<float> keys(static_cast<size_t>(B * S * E)), values = keys;
        const Tensor k(keys.data(), {B, S, E}, cache), v(values.data(), {B, S, E}, cache);
        int64_t past = 0;
        for (const int64_t count : {1, 72, 1, 1}) {
          std::vector<float> rows, out(static_cast<size_t>(B * count * E));
          Values part;
          for (int64_t b = 0; b < B; ++b) {
            const int64_t first = b * T + past;
            rows.insert(rows.end(), qkv.begin() + first * 3 * E, qkv.begin() + (first + count) * 3 * E);
            part.insert(part.end(), expected.begin() + first * E, expected.begin() + (first + count) * E);
          }
          device_->attention_cached({out.data(), {B, count, E}}, k, v, {rows.data(), {B, count, 3 * E}},
                                    static_cast<int>(H),
                                    tensor(std::vector<int32_t>{static_cast<int32_t>(past)}));
          expect_close({out.begin(), out.end()}, part, 5e-6,
                       fmt_size(std::string(to_string(level)) + ", " + to_string(cache), D, past, count));
          past += count;
        }
      }
    }
  }
}

TEST_P(NarrowOperations, CachesOfDifferentTypesAreRefused) {
  const Tensor out = zeros({1, 1, 8}), qkv = zeros({1, 1, 24}), past = tensor(std::vector<int32_t>{0});
  const Tensor wide = zeros({1, 4, 8}), narrow(zeros({1, 4, 8}).data(), {1, 4, 8}, DType::kBF16);
  const auto attend = [&](Tensor keys, Tensor values) {
    return error_of([&] { device_->attention_cached(out, keys, values, qkv, 2, past); });
  };
  EXPECT_EQ(attend(narrow, narrow), "");
  EXPECT_EQ(attend(narrow, wide), "attention_cached: keys is bf16 [1,4,8], but must be f32 [B,S,E]");
  EXPECT_EQ(attend(wide, narrow), "attention_cached: values is bf16 [1,4,8], but must be f32 [1,4,8]");
}

TEST_P(NarrowOperations, WrongArgumentsAreRefused) {
  const int64_t out = 8, in = 64;
  Weight weight(random_floats(out * in, 10), out, in, DType::kInt8);
  const Tensor x = random({1, in}), y = zeros({1, out}), w = weight.tensor();
  const auto linear = [&](Tensor to, const Tensor& weights, Layout layout) {
    return error_of([&] { device_->linear(to, x, {weights, {}, layout}, Activation::kNone, {}); });
  };
  EXPECT_EQ(linear(y, w, Layout::kOutIn), "");
  EXPECT_EQ(linear(zeros({1, out + 1}), w, Layout::kOutIn),
            "linear: layer.weight is f32 [8,64], but must be f32 [9,64]");
  EXPECT_EQ(linear(y, w, Layout::kInOut), "linear: layer.weight is int8 [8,64], but must be f32 [64,8]");
  EXPECT_NE(error_of([&] { Tensor(w.data(), {out}, DType::kInt8); }), "");
  EXPECT_NE(error_of([&] { w.reshape({in, out}); }), "");
  EXPECT_NE(error_of([&] { w.with_pitch(128); }), "");
}

/// The fixture made by tests/fixtures/make_gpt2_fixture.py.
class NarrowModel : public testing::Test {
 protected:
  NarrowModel()
      : stored_(HuggingFaceModel::open(HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small").weights),
        device_(make_device("cpu", 2)) {}

  std::vector<float> logits(const GPTModel& model) {
    KVCache cache(model);
    cache.begin(std::vector<int32_t>{1, 2, 3});
    const Tensor last = cache.extend(std::vector<int32_t>{4});
    std::vector<float> host(static_cast<size_t>(last.size()));
    device_->copy_to_host(host.data(), last);
    return host;
  }

  StoredWeights stored_;
  std::unique_ptr<Device> device_;
};

TEST_F(NarrowModel, WeightsInFp32AreReadWhereTheyLie) {
  GPTModel copied(*device_, stored_.config);
  stored_.load_into(copied);
  const GPTModel mapped = stored_.model(*device_, DType::kF32, DType::kF32);
  EXPECT_EQ(logits(mapped), logits(copied));
  EXPECT_EQ(mapped.weights().size(), copied.weights().size());
  const Tensor qkv = mapped.operands().layers[0].qkv.weight;
  EXPECT_EQ(static_cast<const void*>(qkv.data()),
            stored_.tensors.at("transformer.h.0.attn.c_attn.weight").bytes.data());
}

TEST_F(NarrowModel, NarrowWeightsGiveNearlyTheSameLogits) {
  const std::vector<float> exact = logits(stored_.model(*device_, DType::kF32, DType::kF32));
  for (const auto& [format, tolerance] : {std::pair{DType::kBF16, 0.02}, std::pair{DType::kInt8, 0.06}}) {
    const GPTModel model = stored_.model(*device_, DType::kF32, format);
    EXPECT_EQ(model.weights_dtype(), format);
    LargestError error;
    const std::vector<float> narrow = logits(model);
    for (size_t i = 0; i < exact.size(); ++i) error.add(narrow[i], exact[i]);
    EXPECT_LT(error.relative(), tolerance) << to_string(format);
    EXPECT_GT(error.relative(), 1e-5) << to_string(format) << ": the weights were not converted";
  }
}

TEST_F(NarrowModel, ItOutlivesItsFiles) {
  const std::vector<float> expected = logits(stored_.model(*device_, DType::kF32, DType::kF32));
  const GPTModel model = stored_.model(*device_, DType::kF32, DType::kF32);
  stored_ = {};
  EXPECT_EQ(logits(model), expected);
}

TEST_F(NarrowModel, ItCannotBeTrained) {
  GPTModel model = stored_.model(*device_, DType::kF32, DType::kF32);
  EXPECT_EQ(error_of([&] { initialize(model, 1); }),
            "the weights of a model that only generates cannot be written");
}

TEST_F(NarrowModel, WrongFormatsAreRefused) {
  const auto choose = [&](const char* name, DType dtype) {
    return error_of([&] { choose_weights(name, *device_, dtype); });
  };
  EXPECT_EQ(choose("int8", DType::kF32), "");
  EXPECT_EQ(choose("fp32", DType::kBF16), "");
  EXPECT_EQ(choose_weights("fp32", *device_, DType::kBF16), DType::kBF16);
  EXPECT_EQ(choose("int4", DType::kF32), "weights int4: must be fp32, bf16 or int8");
  EXPECT_EQ(choose("int8", DType::kBF16), "weights int8: on this device, needs dtype fp32");
}

}  // namespace
}  // namespace hipgpt
