// Tests of the whole model: its size, its gradients against central differences in double precision, and its
// results against a GPT-2 from the transformers library.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <tuple>

#include "error.h"
#include "error_of.h"
#include "generator.h"
#include "gpt_model.h"
#include "hip/gpu.h"
#include "huggingface.h"
#include "kv_cache.h"
#include "model/weight_places.h"
#include "model/weights_in_memory.h"
#include "operations/device_fixture.h"
#include "philox.h"
#include "reference_model.h"
#include "safetensors_file.h"
#include "training_pass.h"
#include "util/largest_error.h"

namespace hipgpt {
namespace {

using reference::Values;

constexpr ModelConfig kTinyDefault{
    .vocab_size = 11, .max_seq_len = 5, .embed_dim = 8, .num_heads = 2, .num_layers = 2, .ff_hidden_dim = 12};
constexpr ModelConfig kTinyGpt2{.vocab_size = 11,
                                .max_seq_len = 5,
                                .embed_dim = 6,
                                .num_heads = 3,
                                .num_layers = 2,
                                .ff_hidden_dim = 10,
                                .activation = Activation::kGelu,
                                .final_layernorm = true,
                                .tied_head = true,
                                .head_bias = false};

TEST(ModelConfigTest, DefaultHasTheParameterCountOfTheReadme) {
  EXPECT_EQ(ModelConfig{}.parameter_count(), 1'554'056);
  EXPECT_EQ(GPTWeights(ModelConfig{}).size(), 1'554'056);
}

TEST(ModelConfigTest, Gpt2HasItsParameterCount) {
  const ModelConfig gpt2 = ModelConfig::preset("gpt2");
  EXPECT_EQ(gpt2.parameter_count(), 124'439'808);
  EXPECT_EQ(GPTWeights(gpt2).size(), 124'439'808);
}

TEST(ModelConfigTest, FormulaAgreesWithTheLayoutForEveryChoice) {
  for (int choice = 0; choice < 8; ++choice) {
    ModelConfig c = kTinyDefault;
    c.final_layernorm = choice & 1;
    c.tied_head = choice & 2;
    c.head_bias = choice & 4;
    EXPECT_EQ(c.parameter_count(), GPTWeights(c).size()) << choice;
  }
}

TEST(ModelConfigTest, MetadataRoundTrip) {
  for (const ModelConfig& c : {ModelConfig{}, ModelConfig::preset("gpt2"), kTinyGpt2}) {
    EXPECT_EQ(ModelConfig::from_metadata(c.to_metadata(), "test"), c);
  }
  auto metadata = kTinyGpt2.to_metadata();
  for (const auto& [key, bad] : {std::pair<std::string, std::string>{"vocab_size", "-1"},
                                 {"num_heads", "4"},
                                 {"embed_dim", "1e3"},
                                 {"max_seq_len", ""},
                                 {"activation", "swish"},
                                 {"tied_head", "1"},
                                 {"num_layers", "99999999999"}}) {
    auto damaged = metadata;
    damaged[key] = bad;
    EXPECT_THROW(ModelConfig::from_metadata(damaged, "test"), std::runtime_error) << key;
    damaged.erase(key);
    EXPECT_THROW(ModelConfig::from_metadata(damaged, "test"), std::runtime_error) << key;
  }
}

TEST(ModelConfigTest, OnlyMatricesDecay) {
  for (const ModelConfig& c : {kTinyDefault, kTinyGpt2}) {
    const int64_t decayed = GPTWeights(c).decayed();
    for (const WeightPlace& p : weight_places(c)) {
      EXPECT_EQ(p.shape.size() == 2, p.offset + p.size <= decayed) << p.name;
      EXPECT_EQ(p.shape.size() == 1, p.offset >= decayed) << p.name;
    }
  }
}

/// A small model with random weights, and a batch for it.
class SmallModel {
 public:
  SmallModel(const ModelConfig& config, int batch, const DeviceCase& where, DType dtype = DType::kF32)
      : device(make_device(where.name, where.threads)),
        model(*device, config, dtype),
        pass(model, batch, config.max_seq_len),
        grads(*device, config) {
    std::mt19937 generator(3);
    std::vector<float> w(static_cast<size_t>(model.weights().size()));
    for (float& v : w) v = std::uniform_real_distribution<float>(-0.6f, 0.6f)(generator);
    model.write_weights([&](const GPTWeights& all) { device->copy_to_device(all.flat(), w.data()); });
    weights.assign(w.begin(), w.end());
    const auto count = static_cast<size_t>(batch * config.max_seq_len);
    for (size_t i = 0; i < count; ++i) {
      inputs.push_back(std::uniform_int_distribution<int>(0, config.vocab_size - 1)(generator));
      targets.push_back(std::uniform_int_distribution<int>(0, config.vocab_size - 1)(generator));
    }
  }

  /// Returns the tokens of the first `count` sequences.
  std::span<const int32_t> first(const std::vector<int32_t>& tokens, int count) const {
    return std::span(tokens).first(static_cast<size_t>(count * model.config().max_seq_len));
  }

  std::vector<float> gradients() {
    std::vector<float> g(static_cast<size_t>(model.weights().size()));
    device->copy_to_host(g.data(), grads.flat());
    return g;
  }

  std::unique_ptr<Device> device;
  GPTModel model;
  TrainingPass pass;
  GPTWeights grads;
  Values weights;
  std::vector<int32_t> inputs, targets;
};

using ModelCase = std::tuple<ModelConfig, DeviceCase>;

/// Runs each test with both model shapes on every device.
class EveryModel : public testing::TestWithParam<ModelCase> {
 protected:
  const ModelConfig& config() const { return std::get<0>(GetParam()); }
  const DeviceCase& where() const { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Cases, EveryModel,
                         testing::Combine(testing::Values(kTinyDefault, kTinyGpt2),
                                          testing::ValuesIn(all_devices())),
                         [](const testing::TestParamInfo<ModelCase>& info) {
                           const DeviceCase& where = std::get<1>(info.param);
                           return std::string(std::get<0>(info.param).tied_head ? "gpt2_" : "default_") +
                                  case_name({where, info.index});
                         });

TEST_P(EveryModel, LossAndGradientsAgreeWithCentralDifferences) {
  SmallModel small(config(), 3, where());
  const reference::Model exact(config());
  const double loss = small.pass.loss_and_gradients(small.inputs, small.targets, small.grads, 1.0f, {}, 0);
  EXPECT_NEAR(loss, exact.loss(small.weights, small.inputs, small.targets, 3), 1e-5 * loss);
  const Values expected = reference::central_differences(
      [&](const Values& w) { return exact.loss(w, small.inputs, small.targets, 3); }, small.weights);
  const auto actual = small.gradients();
  for (const WeightPlace& p : weight_places(config())) {
    LargestError error;
    for (int64_t i = p.offset; i < p.offset + p.size; ++i) error.add(actual[i], expected[i]);
    EXPECT_LT(error.absolute(), 1e-4 * error.scale() + 1e-9) << p.name;
  }
}

TEST_P(EveryModel, GradientsAccumulate) {
  SmallModel small(config(), 2, where());
  small.pass.loss_and_gradients(small.inputs, small.targets, small.grads, 1.0f, {}, 0);
  auto once = small.gradients();
  small.pass.loss_and_gradients(small.inputs, small.targets, small.grads, 0.5f, {}, 0);
  const auto more = small.gradients();
  for (size_t i = 0; i < once.size(); ++i)
    ASSERT_NEAR(more[i], 1.5f * once[i], 1e-5f + 1e-5f * std::abs(once[i]));
}

TEST_P(EveryModel, AttendsOnlyToThePast) {
  SmallModel small(config(), 1, where());
  const int S = config().max_seq_len, V = config().vocab_size;
  const auto before = small.pass.logits(small.inputs);
  for (int changed = 0; changed < S; ++changed) {
    auto inputs = small.inputs;
    inputs[changed] = (inputs[changed] + 1) % V;
    const auto after = small.pass.logits(inputs);
    for (int t = 0; t < S; ++t) {
      const bool same =
          std::equal(before.begin() + t * V, before.begin() + (t + 1) * V, after.begin() + t * V);
      EXPECT_EQ(same, t < changed) << "position " << t << " after a change at " << changed;
    }
  }
}

TEST_P(EveryModel, CacheGivesTheLogitsOfAFullPass) {
  SmallModel small(config(), 1, where());
  const int S = config().max_seq_len, V = config().vocab_size;
  const auto full = small.pass.logits(small.inputs);
  for (int prompt = 1; prompt <= S; ++prompt) {
    KVCache cache(small.model);
    std::vector<float> last(static_cast<size_t>(V));
    const auto extend = [&](std::span<const int32_t> tokens) {
      small.device->copy_to_host(last.data(), cache.extend(tokens));
    };
    extend(std::span(small.inputs).first(prompt));
    for (int t = prompt - 1; t < S; ++t) {
      if (t >= prompt) extend(std::span(small.inputs).subspan(t, 1));
      for (int j = 0; j < V; ++j) ASSERT_NEAR(last[j], full[t * V + j], 2e-5) << t;
    }
    EXPECT_THROW(cache.extend(std::span(small.inputs).first(1)), std::runtime_error);
  }
}

/// The norm of the difference of a tensor's gradients, relative to that of the right ones.
double relative_error(const std::vector<float>& gradients, const std::vector<float>& right,
                      const WeightPlace& p) {
  double difference = 0.0, size = 0.0;
  for (int64_t i = p.offset; i < p.offset + p.size; ++i) {
    difference += std::pow(gradients[i] - right[i], 2);
    size += std::pow(right[i], 2);
  }
  return std::sqrt(difference / size);
}

/// In bf16, a result of many roundings differs from fp32's by a few units of 2^-8.
TEST_P(EveryModel, InBf16AgreesWithFp32) {
  SmallModel exact(config(), 2, where()), rounded(config(), 2, where(), DType::kBF16);
  const Dropout dropout{.p = 0.1f, .seed = 1};
  const double expected =
      exact.pass.loss_and_gradients(exact.inputs, exact.targets, exact.grads, 1.0f, dropout, 2);
  const double loss =
      rounded.pass.loss_and_gradients(rounded.inputs, rounded.targets, rounded.grads, 1.0f, dropout, 2);
  EXPECT_NEAR(loss, expected, 0.02 * expected);
  const auto right = exact.gradients(), gradients = rounded.gradients();
  for (const WeightPlace& p : weight_places(config()))
    EXPECT_LT(relative_error(gradients, right, p), 0.04) << p.name;
  const auto logits = rounded.pass.logits(rounded.inputs), right_logits = exact.pass.logits(exact.inputs);
  LargestError error;
  for (size_t i = 0; i < logits.size(); ++i) error.add(logits[i], right_logits[i]);
  EXPECT_LT(error.relative(), 0.04);

  KVCache cache(rounded.model, 2);
  std::vector<float> last(static_cast<size_t>(2 * config().vocab_size));
  rounded.device->copy_to_host(last.data(), cache.extend(rounded.inputs));
  const int S = config().max_seq_len, V = config().vocab_size;
  LargestError of_cache;
  for (int b = 0; b < 2; ++b) {
    for (int j = 0; j < V; ++j) of_cache.add(last[b * V + j], right_logits[((b + 1) * S - 1) * V + j]);
  }
  EXPECT_LT(of_cache.relative(), 0.04);
}

/// Folded LayerNorms, weights stored by rows, and a step of decoding for one, a few and many sequences, on a device
/// that does not read the host's memory.
TEST(GeneratingModel, GivesNearlyTheSameLogits) {
  const auto device = any_device();
  if (device->reads_host_memory()) GTEST_SKIP() << "the CPU's models are those of NarrowModel";
  ModelConfig c = ModelConfig::preset("gpt2");
  c.vocab_size = 40;
  c.max_seq_len = 8;
  c.num_layers = 2;
  c.embed_dim = 64;
  c.ff_hidden_dim = 96;
  c.num_heads = 2;
  const auto host = make_device("cpu", 1);
  GPTModel source(*host, c);
  initialize(source, 3);
  std::mt19937 generator(9);
  source.write_weights([&](const GPTWeights& weights) {  // as if trained: no LayerNorm is 1 and 0, no bias 0
    weights.for_each([&](const std::string&, const Tensor& t, bool is_matrix) {
      for (int64_t i = 0; i < t.size(); ++i)
        t.f32()[i] =
            is_matrix ? 5.0f * t.f32()[i] : t.f32()[i] + std::normal_distribution<float>(0, 0.3f)(generator);
    });
  });
  const StoredWeights stored = weights_in_memory(source);
  const auto decoded = [&](Device& d, const GPTModel& model, int sequences) {
    KVCache cache(model, sequences);
    cache.begin(std::vector<int32_t>{1, 2});
    for (int32_t t = 3; t < 6; ++t) cache.extend(std::vector<int32_t>(static_cast<size_t>(sequences), t));
    std::vector<float> logits(static_cast<size_t>(cache.logits().size()));
    d.copy_to_host(logits.data(), cache.logits());
    return logits;
  };
  const std::vector<float> expected = decoded(*host, source, 1);
  for (const auto& [format, tolerance] : {std::pair{DType::kBF16, 0.03}, std::pair{DType::kInt8, 0.06}}) {
    const GPTModel model = stored.model(*device, DType::kBF16, format);
    EXPECT_TRUE(model.has_folded_norms());
    EXPECT_EQ(model.weights_dtype(), format);
    for (const int sequences : {1, 3, 33}) {
      const std::vector<float> logits = decoded(*device, model, sequences);
      LargestError error;
      for (size_t i = 0; i < logits.size(); ++i) error.add(logits[i], expected[i % expected.size()]);
      EXPECT_LT(error.relative(), tolerance) << to_string(format) << ", " << sequences << " sequences";
    }
  }
}

#ifndef HIPGPT_EMULATED
TEST(Gpt2Test, GradientsInBf16AgreeWithFp32) {
  const auto device = any_device();
  if (device->preferred_dtype() != DType::kBF16) GTEST_SKIP() << "takes matrix cores for bf16";
  const ModelConfig config = ModelConfig::preset("gpt2");
  constexpr int kBatch = 2;
  std::mt19937 generator(5);
  std::vector<int32_t> inputs(static_cast<size_t>(kBatch * config.max_seq_len)), targets(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs[i] = std::uniform_int_distribution<int>(0, config.vocab_size - 1)(generator);
    targets[i] = std::uniform_int_distribution<int>(0, config.vocab_size - 1)(generator);
  }
  const auto gradients = [&](DType dtype) {
    GPTModel model(*device, config, dtype);
    initialize(model, 1);
    TrainingPass pass(model, kBatch, config.max_seq_len);
    GPTWeights grads(*device, config);
    pass.loss_and_gradients(inputs, targets, grads, 1.0f, {}, 0);
    std::vector<float> values(static_cast<size_t>(grads.size()));
    device->copy_to_host(values.data(), grads.flat());
    return values;
  };
  const auto right = gradients(DType::kF32), rounded = gradients(DType::kBF16);
  for (const WeightPlace& p : weight_places(config))
    EXPECT_LT(relative_error(rounded, right, p), 0.02) << p.name;
}
#endif

TEST(DTypeTest, AutoTakesTheDevicesTypeForSizesThatFitIt) {
  const auto device = make_device("cpu", 1);
  const ModelConfig config;
  EXPECT_EQ(choose_dtype("auto", *device, config), DType::kF32);
  EXPECT_EQ(choose_dtype("bf16", *device, config), DType::kBF16);
  EXPECT_EQ(choose_dtype("fp32", *device, config), DType::kF32);
  EXPECT_THROW(choose_dtype("fp16", *device, config), Error);
  EXPECT_THROW(GPTModel(*device, config, DType::kI32), Error);
  for (const char* amd : {"gfx90a", "gfx940", "gfx942", "gfx950", "gfx1100", "gfx1151", "gfx1201"})
    EXPECT_TRUE(hip::multiplies_bf16(amd)) << amd;
  for (const char* amd : {"gfx906", "gfx908", "gfx1030"}) EXPECT_FALSE(hip::multiplies_bf16(amd)) << amd;
  EXPECT_FALSE(hip::multiplies_bf16("sm_75"));
  EXPECT_TRUE(hip::multiplies_bf16("sm_80"));
  EXPECT_TRUE(hip::multiplies_bf16("sm_90"));
  EXPECT_TRUE(hip::multiplies_bf16("sm_100"));
}

/// The sequences of a cache begin with the same tokens and continue with different ones.
TEST_P(EveryModel, CacheOfSeveralSequencesGivesTheLogitsOfFullPasses) {
  const int B = 3, S = config().max_seq_len, V = config().vocab_size, shared = 2;
  SmallModel small(config(), B, where());
  for (int b = 1; b < B; ++b) std::copy_n(small.inputs.begin(), shared, small.inputs.begin() + b * S);
  const auto full = small.pass.logits(small.inputs);
  KVCache cache(small.model, B);
  std::vector<float> last(static_cast<size_t>(B * V));
  const auto expect_logits_after = [&](int t, Tensor logits) {
    small.device->copy_to_host(last.data(), logits);
    for (int b = 0; b < B; ++b)
      for (int j = 0; j < V; ++j)
        ASSERT_NEAR(last[b * V + j], full[(b * S + t) * V + j], 2e-5) << b << " " << t;
  };
  const auto tokens = [&](int first, int count) {
    std::vector<int32_t> all;
    for (int b = 0; b < B; ++b)
      all.insert(all.end(), &small.inputs[b * S + first], &small.inputs[b * S + first] + count);
    return all;
  };
  const int again = 2;  // the cache can be reused from the start
  for (int round = 0; round < again; ++round) {
    expect_logits_after(shared - 1, cache.begin(std::span(small.inputs).first(shared)));
    expect_logits_after(shared + 1, cache.extend(tokens(shared, 2)));
    expect_logits_after(shared + 2, cache.extend(tokens(shared + 2, 1)));
    EXPECT_EQ(cache.length(), shared + 3);
  }
}

#ifndef HIPGPT_EMULATED  // so many sequences are slow on the emulator
TEST_P(EveryModel, MoreSequencesThanOnePassHoldsAreReadInTurns) {
  const int B = 300, S = config().max_seq_len, V = config().vocab_size;
  SmallModel small(config(), B, where());
  const auto full = small.pass.logits(small.inputs);
  KVCache cache(small.model, B);
  std::vector<float> last(static_cast<size_t>(B * V));
  small.device->copy_to_host(last.data(), cache.extend(small.inputs));
  for (int b = 0; b < B; ++b)
    for (int j = 0; j < V; ++j) ASSERT_NEAR(last[b * V + j], full[((b + 1) * S - 1) * V + j], 2e-5) << b;
}
#endif

TEST_P(EveryModel, ATokenOutsideTheVocabularyIsAnErrorOnEveryPath) {
  SmallModel small(config(), 2, where());
  const int V = config().vocab_size;
  KVCache cache(small.model, 1);
  for (const int32_t bad : {V, V + 1, 65535, -1, std::numeric_limits<int32_t>::min()}) {
    for (const size_t at : {size_t{0}, small.inputs.size() - 1}) {
      std::vector<int32_t> tokens = small.inputs;
      tokens[at] = bad;
      const std::vector<int32_t>&wrong = tokens, &inputs = small.inputs, &targets = small.targets;
      EXPECT_THROW(small.pass.loss(wrong, targets), Error);
      EXPECT_THROW(small.pass.loss(inputs, wrong), Error);
      EXPECT_THROW(small.pass.token_losses(wrong, targets), Error);
      EXPECT_THROW(small.pass.logits(wrong), Error);
      EXPECT_THROW(small.pass.loss_and_gradients(wrong, targets, small.grads, 1.0f, {}, 0), Error);
      EXPECT_THROW(small.pass.loss_and_gradients(inputs, wrong, small.grads, 1.0f, {}, 0), Error);
    }
    EXPECT_THROW(cache.begin(std::vector<int32_t>{0, bad}), Error);
    cache.begin(std::vector<int32_t>{0});
    EXPECT_THROW(cache.extend(std::vector<int32_t>{bad}), Error);
    EXPECT_THROW(Generator(small.model, std::vector<int32_t>{0, bad}, {}), Error);
  }
  EXPECT_EQ(small.gradients(), std::vector<float>(small.weights.size(), 0.0f));
}

TEST_P(EveryModel, WrongCallsAreErrors) {
  SmallModel small(config(), 2, where());
  const int S = config().max_seq_len;
  const std::vector<int32_t> one(static_cast<size_t>(S), 0), three(static_cast<size_t>(3 * S), 0);
  EXPECT_THROW(small.pass.compute_loss_and_gradients(small.grads, 1.0f, {}), Error);  // no batch yet
  EXPECT_EQ(error_of([&] { small.pass.loss(three, three); }),
            fmt::format(
                "a batch of {0} inputs and {0} targets: both must have the tokens of 1 to 2 sequences of {1}",
                3 * S, S));
  EXPECT_THROW(small.pass.loss({}, {}), Error);
  EXPECT_THROW(small.pass.loss(one, three), Error);
  EXPECT_THROW(small.pass.loss(std::span(one).first(1), std::span(one).first(1)), Error);
  EXPECT_THROW(TrainingPass(small.model, 0, S), Error);
  EXPECT_THROW(TrainingPass(small.model, 1, 0), Error);
  EXPECT_THROW(TrainingPass(small.model, 1, S + 1), Error);

  TrainingPass forward(small.model, 1, S, TrainingPass::kForwardOnly);
  EXPECT_THROW(forward.loss_and_gradients(one, one, small.grads, 1.0f, {}, 0), Error);
  ModelConfig larger = config();
  ++larger.num_layers;
  GPTWeights others(*small.device, larger), shapes(config());
  EXPECT_THROW(small.pass.loss_and_gradients(one, one, others, 1.0f, {}, 0), Error);
  EXPECT_THROW(small.pass.loss_and_gradients(one, one, shapes, 1.0f, {}, 0), Error);

  EXPECT_THROW(KVCache(small.model, 0), Error);
  KVCache cache(small.model, 2);
  EXPECT_THROW(cache.logits(), Error);
  EXPECT_THROW(cache.append(), Error);
  EXPECT_THROW(cache.begin({}), Error);
  EXPECT_THROW(cache.extend(std::span(one).first(1)), Error);  // two sequences
  const Buffer memory(*small.device, 2 * sizeof(int32_t));
  const Tensor tokens(memory.data(), {2, 1}, DType::kI32);
  small.device->set_zero(tokens);
  EXPECT_THROW(cache.capture_append(tokens.rows(0, 1), [](Tensor) {}), Error);
  cache.capture_append(tokens, [](Tensor) {});
  EXPECT_THROW(cache.append(), Error);  // nothing to append to
  cache.begin(one);
  EXPECT_EQ(error_of([&] { cache.append(); }), fmt::format("{0} + 1 tokens do not fit a context of {0}", S));
  cache.clear();
  cache.begin(std::span(one).first(1));
  EXPECT_NO_THROW(cache.append());
  EXPECT_EQ(cache.length(), 2);
  EXPECT_NO_THROW(small.pass.loss(one, one));
}

TEST_P(EveryModel, TokenLossesMatchTheirLogits) {
  SmallModel small(config(), 3, where());
  const int V = config().vocab_size;
  const auto losses = small.pass.token_losses(small.first(small.inputs, 2), small.first(small.targets, 2));
  const auto logits = small.pass.logits(small.first(small.inputs, 2));
  ASSERT_EQ(losses.size(), static_cast<size_t>(2 * config().max_seq_len));
  double total = 0;
  for (size_t i = 0; i < losses.size(); ++i) {
    double sum = 0;
    for (int j = 0; j < V; ++j) sum += std::exp(static_cast<double>(logits[i * V + j]));
    EXPECT_NEAR(losses[i], std::log(sum) - logits[i * V + static_cast<size_t>(small.targets[i])], 1e-5) << i;
    total += losses[i];
  }
  EXPECT_NEAR(small.pass.loss(small.first(small.inputs, 2), small.first(small.targets, 2)),
              total / static_cast<double>(losses.size()), 1e-5);
}

#ifndef HIPGPT_EMULATED  // the emulator's head takes all rows at once
/// The head takes at least 256 rows at a time; this test has more rows than fit at once.
TEST(HeadTest, LossesOfManyRowsMatchTheirSequences) {
  const ModelConfig config{.vocab_size = 6000,
                           .max_seq_len = 60,
                           .embed_dim = 8,
                           .num_heads = 2,
                           .num_layers = 1,
                           .ff_hidden_dim = 8};
  SmallModel small(config, 10, all_devices().front());
  const auto losses = small.pass.token_losses(small.first(small.inputs, 10), small.first(small.targets, 10));
  ASSERT_EQ(losses.size(), 600u);
  for (int b = 0; b < 10; ++b) {
    const auto alone = small.pass.token_losses(std::span(small.inputs).subspan(b * 60, 60),
                                               std::span(small.targets).subspan(b * 60, 60));
    for (int t = 0; t < 60; ++t) ASSERT_NEAR(losses[b * 60 + t], alone[t], 1e-5) << b << " " << t;
  }
}
#endif

TEST_P(EveryModel, EvaluationWithoutGradientsGivesTheSameLoss) {
  SmallModel small(config(), 3, where());
  const double with = small.pass.loss(small.first(small.inputs, 3), small.first(small.targets, 3));
  const double fewer = small.pass.loss(small.first(small.inputs, 2), small.first(small.targets, 2));
  TrainingPass evaluation(small.model, 3, config().max_seq_len, TrainingPass::kForwardOnly);
  EXPECT_EQ(with, evaluation.loss(small.inputs, small.targets));
  EXPECT_EQ(fewer, evaluation.loss(small.first(small.inputs, 2), small.first(small.targets, 2)));
}

TEST_P(EveryModel, RecomputingGivesTheSameBitsInLessMemory) {
  const Dropout dropout{.p = 0.1f, .seed = 1};
  ASSERT_GE(config().num_layers, 2);  // the last layer is not recomputed
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    SmallModel small(config(), 3, where(), dtype);
    const int S = config().max_seq_len;
    TrainingPass pass(small.model, 3, S, TrainingPass::kRecomputing);
    GPTWeights grads(*small.device, config());
    const auto inputs = small.first(small.inputs, 2), targets = small.first(small.targets, 2);
    EXPECT_EQ(small.pass.loss_and_gradients(inputs, targets, small.grads, 1.0f, dropout, 2),
              pass.loss_and_gradients(inputs, targets, grads, 1.0f, dropout, 2));
    std::vector<float> recomputed(static_cast<size_t>(small.model.weights().size()));
    small.device->copy_to_host(recomputed.data(), grads.flat());
    EXPECT_EQ(small.gradients(), recomputed) << to_string(dtype);
    const auto bytes = [&](TrainingPass::Kind kind) { return TrainingPass::bytes(small.model, 3, S, kind); };
    EXPECT_LT(bytes(TrainingPass::kForwardOnly), bytes(TrainingPass::kRecomputing));
    EXPECT_LT(bytes(TrainingPass::kRecomputing), bytes(TrainingPass::kWithGradients));
  }
}

TEST_P(EveryModel, ThreadsAndRepetitionNeverChangeABit) {
  const Dropout dropout{.p = 0.1f, .seed = 1};
  std::vector<float> first;
  for (const int threads : {1, 2, 5, 1}) {
    SmallModel small(config(), 3, {where().name, threads});
    small.pass.loss_and_gradients(small.inputs, small.targets, small.grads, 1.0f, dropout, 2);
    if (first.empty()) first = small.gradients();
    EXPECT_EQ(first, small.gradients()) << threads;
  }
}

#ifndef HIPGPT_EMULATED
TEST(DefaultModelTest, ThreadsNeverChangeABitAtFullSize) {
  // In small models every loop is a single piece; here every loop has several.
  ModelConfig config;
  config.vocab_size = 700;
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    SmallModel model(config, 16, {"cpu", threads});
    model.pass.loss_and_gradients(model.inputs, model.targets, model.grads, 1.0f, {.p = 0.1f, .seed = 1}, 2);
    if (first.empty()) first = model.gradients();
    EXPECT_TRUE(first == model.gradients()) << threads << " threads";
  }
}
#endif

/// The loss and gradients match the CPU's for a model that needs more than one tile in every operation.
TEST(EveryDevice, MatchesTheCpusLossAndGradients) {
  const ModelConfig config{.vocab_size = 301,
                           .max_seq_len = 70,
                           .embed_dim = 96,
                           .num_heads = 3,
                           .num_layers = 2,
                           .ff_hidden_dim = 130,
                           .activation = Activation::kGelu,
                           .final_layernorm = true};
  const Dropout dropout{.p = 0.1f, .seed = 1};
  SmallModel cpu(config, 3, {"cpu", 2});
  const double expected = cpu.pass.loss_and_gradients(cpu.inputs, cpu.targets, cpu.grads, 1.0f, dropout, 2);
  const auto expected_gradients = cpu.gradients();
  for (const DeviceCase& where : all_devices()) {
    SmallModel other(config, 3, where);
    const double loss =
        other.pass.loss_and_gradients(other.inputs, other.targets, other.grads, 1.0f, dropout, 2);
    EXPECT_NEAR(loss, expected, 1e-5 * expected) << where.name;
    const auto gradients = other.gradients();
    for (const WeightPlace& p : weight_places(config)) {
      LargestError error;
      for (int64_t i = p.offset; i < p.offset + p.size; ++i) error.add(gradients[i], expected_gradients[i]);
      EXPECT_LT(error.relative(), 2e-4) << where.name << " " << p.name;
    }
  }
}

TEST_P(EveryModel, EveryDropoutSiteHasItsOwnMask) {
  SmallModel small(config(), 3, where());
  const uint32_t pass = 2;
  const double p = 0.25;
  const double loss = small.pass.loss_and_gradients(small.inputs, small.targets, small.grads, 1.0f,
                                                    {.p = 0.25f, .seed = 9}, pass);
  const auto factor = [&](uint32_t site, int64_t row, int64_t column) {
    const auto bits = philox4x32({static_cast<uint32_t>(column / 4), static_cast<uint32_t>(row), pass,
                                  static_cast<uint32_t>(RandomUse::kDropout) | site << 8},
                                 philox_key(9));
    return static_cast<double>(bits[static_cast<size_t>(column % 4)]) < p * 0x1p32 ? 0.0 : 1 / (1 - p);
  };
  const reference::Model exact(config());
  EXPECT_NEAR(loss, exact.loss(small.weights, small.inputs, small.targets, 3, factor), 1e-5 * loss);
}

TEST_P(EveryModel, GradientsWithDropoutAgreeWithDifferencesOfTheLoss) {
  // The derivative is taken along a random direction, so that fp32 suffices. With a fixed mask the loss is a
  // smooth function of the weights.
  SmallModel small(config(), 3, where());
  const Dropout dropout{.p = 0.25f, .seed = 9};
  small.pass.loss_and_gradients(small.inputs, small.targets, small.grads, 1.0f, dropout, 2);
  const auto gradient = small.gradients();
  double length = 0;
  for (const float g : gradient) length += static_cast<double>(g) * g;
  length = std::sqrt(length);
  const double h = 1e-2;
  const auto loss_at = [&](double distance) {
    std::vector<float> w(small.weights.begin(), small.weights.end());
    for (size_t i = 0; i < w.size(); ++i) w[i] += static_cast<float>(distance * gradient[i] / length);
    small.device->copy_to_device(small.model.weights().flat(), w.data());
    GPTWeights ignored(*small.device, config());
    return small.pass.loss_and_gradients(small.inputs, small.targets, ignored, 1.0f, dropout, 2);
  };
  EXPECT_NEAR((loss_at(h) - loss_at(-h)) / (2 * h), length, 5e-3 * length);
}

TEST(InitializationTest, MatchesGpt2) {
  const auto device = any_device();
  const ModelConfig config;
  GPTModel a(*device, config), b(*device, config), c(*device, config);
  initialize(a, 1);
  initialize(b, 1);
  initialize(c, 2);
  const auto values = [&](const GPTModel& model, const WeightPlace& place) {
    std::vector<float> host(static_cast<size_t>(place.size));
    device->copy_to_host(host.data(), model.weights().tensor(place.name));
    return host;
  };
  for (const WeightPlace& info : weight_places(config)) {
    const auto v = values(a, info);
    EXPECT_EQ(v, values(b, info)) << info.name;
    double mean = 0, square = 0;
    for (const float x : v) {
      mean += x / static_cast<double>(v.size());
      square += static_cast<double>(x) * x / static_cast<double>(v.size());
    }
    if (info.shape.size() == 2) {
      const bool ends_a_branch = info.name.ends_with("c_proj.weight");
      EXPECT_NEAR(std::sqrt(square), ends_a_branch ? 0.01 : 0.02, 5e-4) << info.name;  // 0.02 / sqrt(2 * 2)
      EXPECT_NEAR(mean, 0.0, 1e-3) << info.name;
      EXPECT_NE(v, values(c, info)) << info.name;
    } else {
      EXPECT_EQ(mean, info.name.ends_with(".weight") ? 1.0 : 0.0) << info.name;
    }
  }
}

/// The fixture made by tests/fixtures/make_gpt2_fixture.py.
class TransformersFixture : public testing::Test {
 protected:
  TransformersFixture()
      : stored_(HuggingFaceModel::open(HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small").weights),
        expected_(SafetensorsFile::open(HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small.expected.safetensors")),
        batch_(std::stoi(expected_.metadata().at("batch"))),
        device_(any_device()),
        model_(*device_, stored_.config),
        pass_(model_, batch_, stored_.config.max_seq_len) {
    stored_.load_into(model_);
  }

  std::vector<float> floats(const std::string& name) const {
    const auto bytes = expected_.tensor(name).bytes;
    const auto* first = reinterpret_cast<const float*>(bytes.data());
    return {first, first + bytes.size() / sizeof(float)};
  }
  std::span<const int32_t> ints(const std::string& name) const {
    const auto bytes = expected_.tensor(name).bytes;
    return {reinterpret_cast<const int32_t*>(bytes.data()), bytes.size() / sizeof(int32_t)};
  }

  static void expect_close(std::span<const float> actual, const std::vector<float>& expected,
                           const std::string& what) {
    ASSERT_EQ(actual.size(), expected.size()) << what;
    LargestError error;
    for (size_t i = 0; i < expected.size(); ++i) error.add(actual[i], expected[i]);
    EXPECT_LT(error.relative(), 1e-5) << what;
  }

  StoredWeights stored_;
  SafetensorsFile expected_;
  int batch_;
  std::unique_ptr<Device> device_;
  GPTModel model_;
  TrainingPass pass_;
};

TEST_F(TransformersFixture, Logits) {
  expect_close(pass_.logits(ints("inputs")), floats("logits"), "logits");
}

TEST_F(TransformersFixture, LossAndEveryGradient) {
  GPTWeights grads(*device_, model_.config());
  const double loss = pass_.loss_and_gradients(ints("inputs"), ints("targets"), grads, 1.0f, {}, 0);
  EXPECT_NEAR(loss, floats("loss")[0], 1e-5 * loss);
  for (const WeightPlace& p : weight_places(model_.config())) {
    std::vector<float> actual(static_cast<size_t>(p.size));
    device_->copy_to_host(actual.data(), grads.tensor(p.name));
    expect_close(actual, floats("grad." + p.name), p.name);
  }
}

}  // namespace
}  // namespace hipgpt
