// Tests of the reference itself. They compare backward passes with central differences of the forward passes,
// forward passes with values computed on paper, and the byte-pair trainer with the real one.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>

#include "model/reference_model.h"
#include "operations/reference.h"
#include "reference/bpe_trainer.h"
#include "tokenizer/bpe_trainer.h"

namespace hipgpt::reference {
namespace {

std::mt19937 generator(7);

/// Returns values uniform in (-1, 1).
Values random(int64_t size) {
  Values x(static_cast<size_t>(size));
  for (double& v : x) v = std::uniform_real_distribution<double>(-1, 1)(generator);
  return x;
}

std::vector<int32_t> random_tokens(int64_t size, int32_t vocab_size) {
  std::vector<int32_t> tokens(static_cast<size_t>(size));
  for (int32_t& t : tokens) t = std::uniform_int_distribution<int32_t>(0, vocab_size - 1)(generator);
  return tokens;
}

void expect_close(const Values& actual, const Values& expected, const std::string& what,
                  double tolerance = 1e-8) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], tolerance) << what << ", element " << i;
  }
}

/// Expects `gradient` to be the gradient of dy . y(x) with respect to x.
void expect_gradient(const Values& gradient, const Values& dy, const Values& x,
                     const std::function<Values(const Values&)>& y, const std::string& what) {
  expect_close(gradient, central_differences([&](const Values& v) { return dot(dy, y(v)); }, x), what);
}

// ---- Backward passes

TEST(ReferenceTest, ActivationSlopes) {
  for (const Activation act : {Activation::kNone, Activation::kRelu, Activation::kGelu, Activation::kGeluErf}) {
    for (const double x : {-20.0, -3.0, -0.7, 0.1, 0.7, 3.0, 20.0}) {
      const auto f = [&](const Values& v) { return activation(act, v[0]); };
      EXPECT_NEAR(activation_slope(act, x), central_differences(f, {x})[0], 1e-8) << x;
    }
  }
  EXPECT_EQ(activation_slope(Activation::kRelu, 0), 0);
}

TEST(ReferenceTest, LinearBackward) {
  const int64_t rows = 4, in = 3, out = 5;
  const Values x = random(rows * in), w = random(in * out), b = random(out), dy = random(rows * out);
  for (const bool transposed : {false, true}) {
    const LinearGradients g = linear_backward(x, w, transposed, dy, rows, in, out);
    const auto y = [&](const Values& vx, const Values& vw, const Values& vb) {
      return linear(vx, vw, transposed, vb, rows, in, out);
    };
    expect_gradient(
        g.dx, dy, x, [&](const Values& v) { return y(v, w, b); }, "dx");
    expect_gradient(
        g.dw, dy, w, [&](const Values& v) { return y(x, v, b); }, "dw");
    expect_gradient(
        g.db, dy, b, [&](const Values& v) { return y(x, w, v); }, "db");
  }
}

TEST(ReferenceTest, EmbeddingBackward) {
  const int64_t B = 3, T = 4, V = 5, S = 6, E = 2;  // more tokens than vocabulary, so that some repeat
  const auto tokens = random_tokens(B * T, V);
  const Values wte = random(V * E), wpe = random(S * E), dy = random(B * T * E);
  const EmbeddingGradients g = embedding_backward(tokens, dy, T, V, S, E);
  expect_gradient(
      g.dwte, dy, wte, [&](const Values& v) { return embedding(tokens, v, wpe, T, E); }, "dwte");
  expect_gradient(
      g.dwpe, dy, wpe, [&](const Values& v) { return embedding(tokens, wte, v, T, E); }, "dwpe");
}

TEST(ReferenceTest, LayerNormBackward) {
  for (const int64_t E : {1, 2, 7}) {
    const Values x = random(3 * E), w = random(E), b = random(E), dy = random(3 * E);
    const LayerNormGradients g = layernorm_backward(x, w, dy);
    expect_gradient(
        g.dx, dy, x, [&](const Values& v) { return layernorm(v, w, b); }, "dx");
    expect_gradient(
        g.dw, dy, w, [&](const Values& v) { return layernorm(x, v, b); }, "dw");
    expect_gradient(
        g.db, dy, b, [&](const Values& v) { return layernorm(x, w, v); }, "db");
  }
}

TEST(ReferenceTest, AttentionBackward) {
  const int64_t B = 2, T = 5, H = 2, E = 6;
  const Values qkv = random(B * T * 3 * E), dout = random(B * T * E);
  const DropoutPlace place{.p = 0.3, .seed = 4, .pass = 2, .site = 1};
  const DropoutFactor dropped = [&](int64_t bh, int64_t i, int64_t j) {
    return dropout_factor(place, bh * T + i, j);
  };
  for (const DropoutFactor& factor : {DropoutFactor([](auto...) { return 1.0; }), dropped}) {
    expect_gradient(
        attention_backward(qkv, dout, B, T, H, E, factor), dout, qkv,
        [&](const Values& v) { return attention(v, B, T, H, E, factor); }, "dqkv");
  }
}

TEST(ReferenceTest, DropoutBackward) {
  const int64_t rows = 3, E = 7;
  const DropoutPlace place{.p = 0.4, .seed = 9, .pass = 1, .site = 5};
  const Values x = random(rows * E), branch = random(rows * E), dy = random(rows * E);
  expect_gradient(
      dropout_backward(dy, E, place), dy, branch,
      [&](const Values& v) { return add_dropout(x, v, E, place); }, "dbranch");
  expect_gradient(
      dy, dy, x, [&](const Values& v) { return add_dropout(v, branch, E, place); }, "dx");
}

TEST(ReferenceTest, CrossEntropyBackward) {
  const int64_t rows = 4, V = 6;
  const Values z = random(rows * V);
  const auto targets = random_tokens(rows, V);
  expect_gradient(
      cross_entropy_backward(z, targets, 0.5), Values(rows, 0.5), z,
      [&](const Values& v) { return cross_entropy(v, targets); }, "dz");
}

TEST(ReferenceTest, ModelBackward) {
  const ModelConfig plain{
      .vocab_size = 7, .max_seq_len = 4, .embed_dim = 4, .num_heads = 2, .num_layers = 2, .ff_hidden_dim = 5};
  ModelConfig like_gpt2 = plain;
  like_gpt2.activation = Activation::kGelu;
  like_gpt2.final_layernorm = like_gpt2.tied_head = true;
  like_gpt2.head_bias = false;
  const SiteFactor dropped = [](uint32_t site, int64_t row, int64_t column) {
    return dropout_factor({.p = 0.25, .seed = 9, .pass = 3, .site = site}, row, column);
  };
  const int64_t B = 2, T = 3;
  const auto tokens = random_tokens(B * T, 7), targets = random_tokens(B * T, 7);
  for (const ModelConfig& config : {plain, like_gpt2}) {
    const Model model(config);
    const Values p = random(GPTWeights(config).size());
    expect_close(
        model.gradients(p, tokens, targets, B, dropped),
        central_differences([&](const Values& v) { return model.loss(v, tokens, targets, B, dropped); }, p),
        "model", 1e-7);  // the third derivative of a whole model is larger
  }
}

// ---- Forward passes

TEST(ReferenceTest, Matmul) {
  const Values a = {1, 2, 3, 4, 5, 6}, b = {1, 0, 2, 0, 1, 3};  // [2,3], and [3,2] or [2,3]
  expect_close(matmul(a, false, b, false, 2, 2, 3), {8, 9, 20, 18}, "A B", 0);
  expect_close(matmul(a, false, b, true, 2, 2, 3), {7, 11, 16, 23}, "A B^T", 0);
  expect_close(matmul(a, true, b, true, 2, 2, 3), {11, 18, 14, 22}, "A^T B^T", 0);
  expect_close(linear(a, b, true, {10, 20}, 2, 3, 2), {17, 31, 26, 43}, "with a bias", 0);
}

TEST(ReferenceTest, Embedding) {
  expect_close(embedding({1, 0, 0, 1}, {1, 2}, {10, 20, 30}, 2, 1), {12, 21, 11, 22}, "from 0", 0);
  expect_close(embedding({1, 0, 0, 1}, {1, 2}, {10, 20, 30}, 2, 1, 1), {22, 31, 21, 32}, "from 1", 0);
}

TEST(ReferenceTest, LayerNormOfARow) {
  const double rstd = 1 / std::sqrt(2.0 / 3 + 1e-5);
  expect_close(layernorm({4, 5, 6}, {1, 2, 3}, {0, 1, 2}), {-rstd, 1, 2 + 3 * rstd}, "y", 1e-14);
}

TEST(ReferenceTest, AttentionSeesTheTokenAndThePreviousOnes) {
  const int64_t T = 4, E = 2;
  Values qkv = random(T * 3 * E);
  const Values before = attention(qkv, 1, T, 1, E);
  expect_close({before.begin(), before.begin() + E}, {qkv.begin() + 2 * E, qkv.begin() + 3 * E},
               "first token");
  for (int64_t i = 3 * 3 * E; i < T * 3 * E; ++i) qkv[i] += 1;
  const Values after = attention(qkv, 1, T, 1, E);
  expect_close({after.begin(), after.begin() + 3 * E}, {before.begin(), before.begin() + 3 * E},
               "before the last", 0);
  EXPECT_NE(after.back(), before.back());

  // Two keys with scores 0 and log 3 have probabilities 1/4 and 3/4; with D = 4 scores are halved.
  const Values two = {0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 2, 0, 0, 0, std::log(3.0), 0, 0, 0, 4, 4, 4, 4};
  const Values out = attention(two, 1, 2, 1, 4);
  expect_close({out.begin() + 4, out.end()}, {5, 5, 5, 5}, "second token");
}

TEST(ReferenceTest, CrossEntropy) {
  expect_close(cross_entropy({0, 0, 0, 0}, {2}), {std::log(4.0)}, "equal logits");
  expect_close(cross_entropy({1e4, 0, 0, 1e4}, {0, 0}), {0, 1e4}, "large logits");
}

TEST(ReferenceTest, DropoutDropsItsShareAndPreservesTheMean) {
  const DropoutPlace place{.p = 0.2, .seed = 5, .pass = 1, .site = 4};
  int64_t dropped = 0;
  for (int64_t i = 0; i < 40000; ++i) {
    const double factor = dropout_factor(place, i / 200, i % 200);
    EXPECT_TRUE(factor == 0 || factor == 1.25);
    dropped += factor == 0;
  }
  EXPECT_NEAR(static_cast<double>(dropped) / 40000, 0.2, 0.01);  // 5 standard deviations
}

TEST(ReferenceTest, AdamW) {
  // With the same gradient in every step, the corrected moments are g and g^2 from the first step on.
  const AdamW options{.beta1 = 0.5f, .beta2 = 0.75f, .epsilon = 1, .weight_decay = 0.5f, .decayed = 1};
  Values p = {2, 2}, m = {0, 0}, v = {0, 0};
  for (int64_t t = 1; t <= 3; ++t) adamw(p, m, v, {3, -4}, 0.5, t, options);
  double decayed = 2;
  for (int64_t t = 1; t <= 3; ++t) decayed -= 0.5 * (3.0 / 4 + 0.5 * decayed);
  expect_close(p, {decayed, 2 + 3 * 0.5 * 4.0 / 5}, "parameters", 1e-12);
  expect_close(m, {3 * 0.875, -4 * 0.875}, "first moment", 1e-12);

  AdamW clipped = options;
  clipped.max_grad_norm = 1;  // the norm is 5
  p = {2, 2}, m = {0, 0}, v = {0, 0};
  adamw(p, m, v, {3, -4}, 0.5, 1, clipped);
  expect_close(p, {2 - 0.5 * (0.6 / 1.6 + 1), 2 + 0.5 * 0.8 / 1.8}, "clipped", 1e-7);
  const Values before = p;
  adamw(p, m, v, {NAN, 0}, 0.5, 2, clipped);
  expect_close(p, before, "not finite", 0);
}

std::map<int32_t, double> probabilities(const Values& logits, const std::vector<int32_t>& seen,
                                        const Sampling& options) {
  std::map<int32_t, double> result;
  for (const Candidate& c : sampling_candidates(logits, seen, options)) result[c.token] = c.probability;
  return result;
}

TEST(ReferenceTest, SamplingCandidates) {
  const Values logits = {std::log(1.0), std::log(4.0), std::log(2.0), std::log(4.0), -std::log(2.0)};
  const std::vector<int32_t> none(5, 0);
  const auto expect = [](const std::map<int32_t, double>& actual, const std::map<int32_t, double>& expected) {
    ASSERT_EQ(actual.size(), expected.size());
    for (const auto& [token, p] : expected) EXPECT_NEAR(actual.at(token), p, 1e-12) << token;
  };
  expect(probabilities(logits, none, {.temperature = 0}), {{1, 1}});
  expect(probabilities(logits, none, {.top_k = 0}),
         {{0, 1 / 11.5}, {1, 4 / 11.5}, {2, 2 / 11.5}, {3, 4 / 11.5}, {4, 0.5 / 11.5}});
  expect(probabilities(logits, none, {.top_k = 3}), {{1, 0.4}, {2, 0.2}, {3, 0.4}});
  expect(probabilities(logits, none, {.top_k = 2, .temperature = 0.5}), {{1, 0.5}, {3, 0.5}});
  expect(probabilities(logits, none, {.top_k = 3, .temperature = 0.5}),
         {{1, 16.0 / 36}, {2, 4.0 / 36}, {3, 16.0 / 36}});
  expect(probabilities(logits, none, {.top_k = 0, .top_p = 0.1}), {{1, 1}});
  expect(probabilities(logits, none, {.top_k = 3, .top_p = 0.5}), {{1, 0.5}, {3, 0.5}});
  expect(probabilities(logits, none, {.top_k = 3, .top_p = 0.7}), {{1, 0.5}, {3, 0.5}});
  expect(probabilities(logits, none, {.top_k = 3, .top_p = 0.3}), {{1, 1}});
  // A positive logit is divided by the penalty, a negative one multiplied: 4 becomes 2, 1/2 becomes 1/4.
  expect(probabilities(logits, {0, 1, 0, 0, 1}, {.top_k = 0, .repetition_penalty = 2}),
         {{0, 1 / 9.25}, {1, 2 / 9.25}, {2, 2 / 9.25}, {3, 4 / 9.25}, {4, 0.25 / 9.25}});
}

TEST(ReferenceTest, SampleFrequenciesMatchTheProbabilities) {
  const Values logits = {0, std::log(3.0), std::log(4.0), -50};
  std::map<int32_t, int> counts;
  for (int32_t n = 0; n < 20000; ++n) ++counts[sample(logits, {0, 0, 0, 0}, 3, n, {.top_k = 0, .seed = 8})];
  EXPECT_NEAR(counts[0], 2500, 250);  // 5 standard deviations
  EXPECT_NEAR(counts[1], 7500, 350);
  EXPECT_NEAR(counts[2], 10000, 350);
}

// ---- Byte-pair encoding

TEST(ReferenceTest, BpeOfAWord) {
  // "aaab": (a, a) occurs twice. Merging from the left leaves (aa, a) and (a, b), once each; aa has the
  // larger id.
  const uint32_t a = 'a' - '!', b = 'b' - '!';  // the printable bytes from '!' have the first ids
  EXPECT_EQ(learn_bpe("aaab", 1000), (std::vector<Merge>{{a, a, 256}, {a, b, 257}, {256, 257, 258}}));
  EXPECT_TRUE(learn_bpe("", 1000).empty());
  EXPECT_EQ(learn_bpe("aaab", 257).size(), 1u);
}

TEST(ReferenceTest, BpeLearnsTheMergesOfTheRealTrainer) {
  const std::string alphabets[] = {"ab ", "abcdefg  \n", "don't we'll 12 34\n\n  ",
                                   "a\xc3\xa9\xe2\x82\xac \n\t!?"};
  for (int round = 0; round < 60; ++round) {
    const std::string& alphabet = alphabets[round % 4];
    std::string text;
    for (size_t i = 0, size = generator() % 3000; i < size; ++i) {
      text += round % 5 == 4 ? static_cast<char>(generator()) : alphabet[generator() % alphabet.size()];
    }
    const uint32_t vocab_size = 256 + generator() % 200;
    const auto real = hipgpt::learn_bpe(Text(text), SpecialTokens(), vocab_size, 1, nullptr);
    ASSERT_EQ(learn_bpe(text, vocab_size), real.merges) << "round " << round;
  }
}

}  // namespace
}  // namespace hipgpt::reference
