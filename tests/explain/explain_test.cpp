// Tests of what generate --explain computes: attention, the logit lens, votes, chances and costs, on every
// device, against the reference and against the model itself.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "device/profile.h"
#include "device/timing_device.h"
#include "error_of.h"
#include "explain/explanation.h"
#include "explain/forward_trace.h"
#include "explain/next_token.h"
#include "explain/page.h"
#include "explain/votes.h"
#include "model/reference_model.h"
#include "operations/device_fixture.h"
#include "training_pass.h"

namespace hipgpt {
namespace {

using reference::Values;

constexpr ModelConfig kPlain{.vocab_size = 23,
                             .max_seq_len = 9,
                             .embed_dim = 12,
                             .num_heads = 3,
                             .num_layers = 2,
                             .ff_hidden_dim = 20};
constexpr ModelConfig kGpt2{.vocab_size = 23,
                            .max_seq_len = 9,
                            .embed_dim = 12,
                            .num_heads = 2,
                            .num_layers = 3,
                            .ff_hidden_dim = 16,
                            .activation = Activation::kGelu,
                            .final_layernorm = true,
                            .tied_head = true,
                            .head_bias = false};
const std::vector<int32_t> kText = {4, 22, 0, 7, 7, 13, 4};

/// Random weights, large enough that heads and guesses differ.
std::vector<float> random_weights(const ModelConfig& config, unsigned seed = 3) {
  std::mt19937 generator(seed);
  std::vector<float> weights(static_cast<size_t>(config.parameter_count()));
  for (float& w : weights) w = std::uniform_real_distribution<float>(-0.6f, 0.6f)(generator);
  return weights;
}

void set_weights(GPTModel& model, const std::vector<float>& weights) {
  model.write_weights(
      [&](const GPTWeights& all) { model.device().copy_to_device(all.flat(), weights.data()); });
}

/// Sets rows [first, first + count) of a matrix to zero.
void clear_rows(std::vector<float>& weights, const ModelConfig& config, const std::string& name,
                int64_t first, int64_t count) {
  const WeightPlace place = weight_place(config, name);
  const int64_t width = place.shape.back();
  std::fill_n(weights.begin() + place.offset + first * width, count * width, 0.0f);
}

double relative_error(double actual, double expected) {
  return std::abs(actual - expected) / std::max(1.0, std::abs(expected));
}

class ExplainTest : public DeviceTest {
 protected:
  GPTModel model_of(const ModelConfig& config, const std::vector<float>& weights) {
    GPTModel model(*device_, config);
    set_weights(model, weights);
    return model;
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, ExplainTest, testing::ValuesIn(all_devices()), case_name);

TEST_P(ExplainTest, AttentionIsThatOfTheReferenceAndOfTheKernel) {
  for (const ModelConfig& c : {kPlain, kGpt2}) {
    const GPTModel model = model_of(c, random_weights(c));
    const ForwardTrace trace = trace_forward(model, kText);
    const reference::AttentionShape shape{1, trace.tokens, c.num_heads, c.embed_dim};
    for (size_t l = 0; l < trace.qkv.size(); ++l) {
      const Values qkv(trace.qkv[l].values.begin(), trace.qkv[l].values.end());
      for (int64_t h = 0; h < c.num_heads; ++h) {
        const auto weights = attention_weights(trace.qkv[l], c.num_heads, h);
        ASSERT_EQ(weights.size(), kText.size());
        for (int64_t i = 0; i < trace.tokens; ++i) {
          const auto& row = weights[static_cast<size_t>(i)];
          EXPECT_NEAR(std::accumulate(row.begin(), row.end(), 0.0), 1.0, 1e-12);
          expect_close(row, reference::attention_probabilities(qkv, shape, 0, h, i), 1e-9,
                       fmt_size("row", l, h, i));
          Values out(static_cast<size_t>(shape.D()), 0.0), of_kernel;
          for (int64_t d = 0; d < shape.D(); ++d) {
            for (int64_t j = 0; j <= i; ++j)
              out[d] += row[static_cast<size_t>(j)] * qkv[shape.at(0, h, j, 2, d)];
            of_kernel.push_back(trace.attention[l].values[static_cast<size_t>(shape.at(0, h, i, d))]);
          }
          expect_close(out, of_kernel, 1e-4, fmt_size("output", l, h, i));
        }
      }
    }
  }
}

TEST_P(ExplainTest, TheLastLensRowIsTheModelsLogits) {
  for (const ModelConfig& c : {kPlain, kGpt2}) {
    const auto weights = random_weights(c);
    const GPTModel model = model_of(c, weights);
    std::vector<Rows> lens;
    const ForwardTrace trace =
        trace_forward(model, kText, [&](const Rows& logits) { lens.push_back(logits); });
    ASSERT_EQ(lens.size(), 2u * c.num_layers + 1);
    ASSERT_EQ(trace.places.size(), lens.size());
    EXPECT_EQ(trace.places[1], "attention 0");
    const auto values = [](const Rows& rows) { return Values(rows.values.begin(), rows.values.end()); };
    const Values parameters(weights.begin(), weights.end());
    const Values expected = reference::Model(c).logits(parameters, kText, 1);
    expect_close(values(lens.back()), expected, 1e-4, "reference");
    expect_close(values(trace.logits), expected, 1e-4, "trace");
    TrainingPass pass(model, 1, static_cast<int>(kText.size()), TrainingPass::kForwardOnly);
    const auto of_pass = pass.logits(kText);
    expect_close(values(lens.back()), Values(of_pass.begin(), of_pass.end()), 1e-5, "TrainingPass");
    // A model of no layers says what the lens shows after the embedding. One layer less: after its layer.
    ModelConfig shorter = c;
    --shorter.num_layers;
    Values fewer;
    for (const WeightPlace& place : weight_places(shorter)) {
      const WeightPlace from = weight_place(c, place.name);
      fewer.insert(fewer.end(), parameters.begin() + from.offset,
                   parameters.begin() + from.offset + from.size);
    }
    expect_close(values(lens[lens.size() - 3]), reference::Model(shorter).logits(fewer, kText, 1), 1e-4,
                 "lens");
  }
}

TEST_P(ExplainTest, PartsAddUpToTheStreamAndVotesToTheLogit) {
  for (const ModelConfig& c : {kPlain, kGpt2}) {
    const GPTModel model = model_of(c, random_weights(c));
    const ForwardTrace trace = trace_forward(model, kText);
    ASSERT_EQ(trace.parts.size(), 2u + static_cast<size_t>(c.num_layers * (c.num_heads + 3)));
    const VoteCounter counter(model, trace);
    for (int64_t t = 0; t < trace.tokens; ++t) {
      Values sum(static_cast<size_t>(c.embed_dim), 0.0);
      for (const StreamPart& part : trace.parts) {
        for (size_t e = 0; e < sum.size(); ++e) sum[e] += part.row(t)[e];
      }
      const auto stream = trace.stream.back().row(t);
      expect_close(sum, Values(stream.begin(), stream.end()), 1e-5, "stream");
      for (int32_t v = 0; v < c.vocab_size; ++v) {
        const Votes votes = counter.count(t, v);
        ASSERT_EQ(votes.parts.size(), counter.names().size());
        EXPECT_EQ(votes.logit, trace.logits.row(t)[static_cast<size_t>(v)]);
        const double total = std::accumulate(votes.parts.begin(), votes.parts.end(), votes.mean_logit);
        EXPECT_LT(relative_error(total, votes.logit), 1e-4) << t << " " << v;
        EXPECT_NEAR(total + votes.rounding, votes.logit, 1e-9);
      }
    }
  }
}

TEST_P(ExplainTest, InBf16TheVotesShowTheRounding) {
  ModelConfig c = kGpt2;
  c.embed_dim = 16;
  GPTModel model(*device_, c, DType::kBF16);
  set_weights(model, random_weights(c));
  const ForwardTrace trace = trace_forward(model, kText);
  const VoteCounter counter(model, trace);
  double largest = 0.0;
  for (int32_t v = 0; v < c.vocab_size; ++v) {
    const Votes votes = counter.count(6, v);
    EXPECT_NEAR(std::accumulate(votes.parts.begin(), votes.parts.end(), votes.mean_logit + votes.rounding),
                votes.logit, 1e-9);
    largest = std::max(largest, std::abs(votes.rounding));
  }
  EXPECT_GT(largest, 1e-5);
  EXPECT_LT(largest, 0.1);
}

/// A part that nothing after it reads can be taken out: the logit then changes by its vote, apart from what
/// all tokens share.
TEST_P(ExplainTest, AVoteIsWhatTheLogitLosesWithoutThePart) {
  const ModelConfig c = kPlain;
  auto weights = random_weights(c);
  const int64_t D = c.head_dim(), t = 5;
  const auto check = [&](const std::string& part, const std::vector<float>& without) {
    const GPTModel with_model = model_of(c, weights), without_model = model_of(c, without);
    const ForwardTrace with_part = trace_forward(with_model, kText),
                       less = trace_forward(without_model, kText);
    const VoteCounter counter(with_model, with_part);
    const auto at = std::ranges::find(counter.names(), part) - counter.names().begin();
    ASSERT_LT(at, static_cast<int64_t>(counter.names().size())) << part;
    const auto lost = [&](int32_t v) { return double{with_part.logits.row(t)[v]} - less.logits.row(t)[v]; };
    double mean = 0.0;
    for (int32_t v = 0; v < c.vocab_size; ++v) mean += lost(v) / c.vocab_size;
    for (int32_t v = 0; v < c.vocab_size; ++v) {
      EXPECT_NEAR(counter.count(t, v).parts[static_cast<size_t>(at)], lost(v) - mean, 1e-4)
          << part << " " << v;
    }
  };
  auto without = weights;
  clear_rows(without, c, "transformer.h.1.mlp.c_proj.weight", 0, c.ff_hidden_dim);
  check("layer 1 feed-forward", without);
  without = weights;
  clear_rows(without, c, "transformer.h.1.mlp.c_proj.bias", 0, 1);
  check("layer 1 feed-forward bias", without);
  without = weights;
  clear_rows(without, c, "lm_head.bias", 0, 1);
  check("head bias", without);
  // Without the last feed-forward, nothing reads the last heads but the head of the model.
  clear_rows(weights, c, "transformer.h.1.mlp.c_proj.weight", 0, c.ff_hidden_dim);
  for (int64_t h = 0; h < c.num_heads; ++h) {
    without = weights;
    clear_rows(without, c, "transformer.h.1.attn.c_proj.weight", h * D, D);
    check("layer 1 head " + std::to_string(h), without);
  }
  without = weights;
  clear_rows(without, c, "transformer.h.1.attn.c_proj.bias", 0, 1);
  check("layer 1 attention bias", without);
}

TEST_P(ExplainTest, ATextThatDoesNotFitIsRefused) {
  const GPTModel model = model_of(kPlain, random_weights(kPlain));
  EXPECT_TRUE(says(error_of([&] { trace_forward(model, std::vector<int32_t>(10, 1)); }), "10 tokens"));
  EXPECT_TRUE(says(error_of([&] { trace_forward(model, {}); }), "0 tokens"));
  EXPECT_TRUE(says(error_of([&] { trace_forward(model, std::vector<int32_t>{23}); }), "23"));
}

TEST_P(ExplainTest, TheCostOfAForwardPass) {
  for (const ModelConfig& c : {kPlain, kGpt2}) {
    TimingDevice timing(*device_);
    GPTModel model(timing, c);
    set_weights(model, random_weights(c));
    const auto calls = time_forward(model, kText, timing);
    const auto labels = forward_labels(c);
    ASSERT_EQ(calls.size(), labels.size());
    EXPECT_EQ(labels.back(), "head");
    double in_products = 0.0;
    for (size_t i = 0; i < calls.size(); ++i) {
      EXPECT_GT(calls[i].seconds, 0.0) << labels[i];
      EXPECT_GT(calls[i].cost.bytes, 0.0) << labels[i];
      const bool is_product = std::string(calls[i].name) == "linear";
      const bool named_so = labels[i] == "head" || labels[i].ends_with(" QKV") || labels[i].ends_with(" O") ||
                            labels[i].find(" FF") != std::string::npos;
      EXPECT_EQ(is_product, named_so) << labels[i];
      if (is_product) in_products += calls[i].cost.flops;
    }
    // Two FLOP for each weight of a matrix and token, one for each bias and activation.
    const double T = static_cast<double>(kText.size()), E = c.embed_dim, F = c.ff_hidden_dim,
                 V = c.vocab_size, L = c.num_layers;
    const double of_activation = c.activation == Activation::kRelu ? 1.0 : 8.0;
    EXPECT_EQ(in_products,
              T * (L * (2 * (4 * E * E + 2 * E * F) + 5 * E + F + of_activation * F) + 2 * E * V + V));
  }
}

TEST_P(ExplainTest, ATimingDeviceComputesTheSameAndRecordsOnlyWhenAsked) {
  TimingDevice timing(*device_);
  GPTModel timed(timing, kGpt2);
  set_weights(timed, random_weights(kGpt2));
  const GPTModel plain = model_of(kGpt2, random_weights(kGpt2));
  TrainingPass pass(timed, 1, 7, TrainingPass::kForwardOnly),
      plain_pass(plain, 1, 7, TrainingPass::kForwardOnly);
  const auto expected = plain_pass.logits(kText);
  EXPECT_EQ(pass.logits(kText), expected);
  timing.start();
  EXPECT_EQ(pass.logits(kText), expected);
  EXPECT_EQ(timing.stop().size(), forward_labels(kGpt2).size());
  EXPECT_EQ(pass.logits(kText), expected);
  EXPECT_TRUE(timing.stop().empty());
}

TEST_P(ExplainTest, AGraphOfATimingDeviceIsRecordedOrReplayed) {
  TimingDevice timing(*device_);
  const Tensor counter = tensor(std::vector<int32_t>{5});
  const auto graph = timing.capture([&] { timing.increment(counter); });
  EXPECT_EQ(tokens(counter), std::vector<int32_t>{5}) << "capturing runs nothing";
  graph->replay();
  timing.start();
  graph->replay();
  graph->replay();
  const auto calls = timing.stop();
  graph->replay();
  EXPECT_EQ(tokens(counter), std::vector<int32_t>{9});
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_STREQ(calls[0].name, "increment");
  EXPECT_EQ(calls[0].cost.bytes, 8.0);
}

TEST_P(ExplainTest, ARooflineHasTwoLimits) {
  const Roofline roofline = measure_roofline(*device_, DType::kF32);
  EXPECT_GT(roofline.flops_per_second, 0.0);
  EXPECT_GT(roofline.bytes_per_second, 0.0);
  const Roofline r{.flops_per_second = 100.0, .bytes_per_second = 10.0};
  EXPECT_EQ(r.shortest(1000.0, 10.0), 10.0);
  EXPECT_EQ(r.shortest(10.0, 1000.0), 100.0);
}

TEST(ProfileTest, RowsCollectCallsOfTheSameShape) {
  const std::vector<TimingDevice::Call> calls = {{"linear", {"[2,3]", 10.0, 4.0}, 0.5},
                                                 {"sum", {"[2,3]", 1.0, 8.0}, 3.0},
                                                 {"linear", {"[2,3]", 10.0, 4.0}, 1.5},
                                                 {"linear", {"[2,4]", 20.0, 4.0}, 0.1}};
  const auto rows = profile_rows(calls);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].name, "sum");
  EXPECT_EQ(rows[1].calls, 2);
  EXPECT_EQ(rows[1].seconds, 2.0);
  EXPECT_EQ(rows[1].flops, 20.0);
  EXPECT_EQ(rows[2].shapes, "[2,4]");
  const std::string table = profile_table(rows, 2, {.flops_per_second = 10.0, .bytes_per_second = 4.0});
  EXPECT_NE(table.find("2 steps"), std::string::npos);
  // Of the linear of [2,3]: 1 call, 1000 ms and 39 % of each step; the limits allow all of its time.
  EXPECT_NE(table.find("    1 1000.000   39.2%      0.00     0.00      2.5    100%"), std::string::npos)
      << table;
}

TEST(NextTokenTest, ChancesAreThoseOfTheSampler) {
  std::mt19937 generator(7);
  std::vector<float> logits(40);
  for (float& z : logits) z = std::uniform_real_distribution<float>(-4, 4)(generator);
  logits[3] = logits[8];
  const std::vector<int32_t> seen = {3, 11, 12};
  std::vector<int32_t> marks(logits.size(), 0);
  for (const int32_t id : seen) marks[static_cast<size_t>(id)] = 1;
  for (const Sampling& options :
       {Sampling{}, Sampling{.top_k = 0, .top_p = 0.7}, Sampling{.top_k = 0, .temperature = 0.5},
        Sampling{.top_k = 9, .top_p = 0.9, .temperature = 2.0, .repetition_penalty = 1.5},
        Sampling{.temperature = 0.0, .repetition_penalty = 3.0}}) {
    std::vector<double> expected(logits.size(), 0.0);
    for (const auto& c : reference::sampling_candidates(Values(logits.begin(), logits.end()), marks, options))
      expected[static_cast<size_t>(c.token)] = c.probability;
    const auto chances = token_chances(logits, seen, options);
    ASSERT_EQ(chances.size(), logits.size());
    double total = 0.0;
    for (size_t i = 0; i < chances.size(); ++i) {
      const TokenChance& c = chances[i];
      EXPECT_NEAR(c.drawn, expected[static_cast<size_t>(c.id)], 1e-12) << c.id;
      EXPECT_EQ(c.logit, logits[static_cast<size_t>(c.id)]);
      total += c.probability;
      if (i == 0) continue;
      const TokenChance& likelier = chances[i - 1];
      EXPECT_TRUE(likelier.logit > c.logit || (likelier.logit == c.logit && likelier.id < c.id));
    }
    EXPECT_NEAR(total, 1.0, 1e-12);
  }
}

TEST(MergesTest, MergesOfATokenJoinItsBytes) {
  const std::string text = "the theme of the anthem, the lath, ththth; caf\xC3\xA9 caf\xC3\xA9";
  const Tokenizer tokenizer = Tokenizer::train(text, {290, {"<|endoftext|>"}, 1, {}});
  int merged = 0;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string bytes(tokenizer.token_bytes(id));
    const auto steps = tokenizer.merges_of(id);
    std::vector<std::string> pieces;
    for (const char byte : bytes) pieces.emplace_back(1, byte);
    int32_t before = -1;
    for (const auto& [rank, at] : steps) {
      EXPECT_GT(rank, before == rank ? rank - 1 : before);
      before = rank;
      ASSERT_LT(at + 1, pieces.size());
      pieces[at] += pieces[at + 1];
      pieces.erase(pieces.begin() + static_cast<ptrdiff_t>(at) + 1);
      // Each piece is a token of its own: of the merge of this rank.
      EXPECT_EQ(tokenizer.token_bytes(rank + 257), pieces[at]);
    }
    if (steps.empty()) continue;
    ++merged;
    EXPECT_EQ(pieces, std::vector<std::string>{bytes});
  }
  EXPECT_EQ(merged, tokenizer.vocab_size() - 257);
  EXPECT_TRUE(tokenizer.merges_of(0).empty());  // <|endoftext|>
  EXPECT_TRUE(says(error_of([&] { tokenizer.merges_of(290); }), "290"));
}

TEST(PageTest, NoTextOfTheDataIsATag) {
  const JsonValue data = {{"a", "</script><script>alert(1)</script><!-- \xFF"}, {"b", "{{script}} {{data}}"}};
  const std::string page = explanation_page(data);
  const size_t begin = page.find("id=\"data\">") + 10, end = page.find("</script>", begin);
  const std::string json = page.substr(begin, end - begin);
  EXPECT_EQ(json.find('<'), std::string::npos);
  EXPECT_EQ(parse_json(json)["a"].as_string(), "</script><script>alert(1)</script><!-- \xEF\xBF\xBD");
  EXPECT_EQ(parse_json(json)["b"].as_string(), "{{script}} {{data}}");
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  const std::string without_data = page.substr(0, begin) + page.substr(end);
  for (const char* mark : {"{{style}}", "{{script}}", "{{data}}", "innerHTML", "http-equiv=\"refresh\"",
                           "src=\"", "@import", "url("}) {
    EXPECT_EQ(without_data.find(mark), std::string::npos) << mark;
  }
}

}  // namespace
}  // namespace hipgpt
