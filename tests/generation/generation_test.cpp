// Tests of generation: with a cache, past the context, and with several samples at once. Also tests losses by
// strided windows, and streams that print whole characters only.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "generation/sliding_windows.h"
#include "generator.h"
#include "gpt_model.h"
#include "model/log_probabilities.h"
#include "operations/device_fixture.h"
#include "training_pass.h"
#include "util/utf8_stream.h"

namespace hipgpt {
namespace {

class GeneratorTest : public testing::TestWithParam<DeviceCase> {
 protected:
  GeneratorTest()
      : device_(make_device(GetParam().name, GetParam().threads)),
        model_(*device_, kConfig),
        pass_(model_, 1, kConfig.max_seq_len, TrainingPass::kForwardOnly) {
    std::mt19937 generator(5);
    std::vector<float> w(static_cast<size_t>(model_.weights().size()));
    for (float& v : w) v = std::uniform_real_distribution<float>(-0.7f, 0.7f)(generator);
    device_->copy_to_device(model_.weights().flat(), w.data());
  }

  /// Returns the logits after the last `count` tokens, computed by a full pass without a cache.
  std::vector<float> logits_after(std::span<const int32_t> tokens, size_t count) {
    std::vector<int32_t> window(tokens.end() - static_cast<ptrdiff_t>(count), tokens.end());
    window.resize(static_cast<size_t>(kConfig.max_seq_len));
    const auto logits = pass_.logits(window);
    const auto row = logits.begin() + static_cast<ptrdiff_t>((count - 1) * kConfig.vocab_size);
    return {row, row + kConfig.vocab_size};
  }

  /// Returns, by position, the loss of every token that strided windows score in a text. Follows the recipe
  /// of transformers' documentation, on logits of full passes.
  std::map<size_t, double> expected_losses(const std::vector<int32_t>& text, size_t stride) {
    std::map<size_t, double> losses;
    size_t previous_end = 0;
    for (size_t begin = 0; begin < text.size(); begin += stride) {
      const size_t end = std::min(begin + static_cast<size_t>(kConfig.max_seq_len), text.size());
      for (size_t i = std::max(previous_end, begin + 1); i < end; ++i) {
        const auto row = logits_after(std::span(text).subspan(begin, i - begin), i - begin);
        double sum = 0;
        for (const float z : row) sum += std::exp(static_cast<double>(z));
        losses[i] = std::log(sum) - row[static_cast<size_t>(text[i])];
      }
      previous_end = end;
      if (end == text.size()) break;
    }
    return losses;
  }

  /// Returns the losses that SlidingWindows computes for a text fed in pieces.
  std::vector<std::pair<int32_t, float>> losses_by_windows(const std::vector<int32_t>& text, size_t stride,
                                                           size_t piece) {
    std::vector<std::pair<int32_t, float>> scored;
    SlidingWindows windows(model_, static_cast<int64_t>(stride),
                           [&](int32_t token, float loss) { scored.emplace_back(token, loss); });
    for (size_t first = 0; first < text.size(); first += piece)
      windows.push(std::span(text).subspan(first, std::min(piece, text.size() - first)));
    windows.finish();
    // A second text may follow and is scored like the first.
    const auto first_text = scored;
    scored.clear();
    windows.push(text);
    windows.finish();
    EXPECT_EQ(scored, first_text) << "stride " << stride;
    return first_text;
  }

  void expect_same_losses(size_t length, size_t stride, size_t piece) {
    std::vector<int32_t> text(length);
    for (size_t i = 0; i < length; ++i) text[i] = static_cast<int32_t>(i * i % 13);
    const auto expected = expected_losses(text, stride);
    const auto scored = losses_by_windows(text, stride, piece);
    ASSERT_EQ(scored.size(), expected.size()) << length << " tokens, stride " << stride;
    size_t n = 0;
    for (const auto& [i, loss] : expected) {
      EXPECT_EQ(scored[n].first, text[i]);
      EXPECT_NEAR(scored[n].second, loss, 1e-5 * (1 + loss)) << "token " << i << ", stride " << stride;
      ++n;
    }
  }

  static constexpr ModelConfig kConfig{.vocab_size = 13,
                                       .max_seq_len = 8,
                                       .embed_dim = 12,
                                       .num_heads = 2,
                                       .num_layers = 2,
                                       .ff_hidden_dim = 16};
  std::unique_ptr<Device> device_;
  GPTModel model_;
  TrainingPass pass_;
};

INSTANTIATE_TEST_SUITE_P(Devices, GeneratorTest, testing::ValuesIn(all_devices()), case_name);

/// Compares the logits, not only the tokens: the most likely token is often the same with one token less of
/// context.
TEST_P(GeneratorTest, GreedyMatchesFullPassesEvenPastTheContext) {
  for (const size_t prompt : {1u, 5u, 8u, 20u}) {
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < prompt; ++i) tokens.push_back(static_cast<int32_t>(i * 5 % 13));
    Generator generator(model_, tokens, {.temperature = 0.0});
    size_t window = std::min<size_t>(prompt, 8);
    for (int n = 0; n < 40; ++n) {
      const auto expected = logits_after(tokens, window);
      const auto likeliest = std::max_element(expected.begin(), expected.end()) - expected.begin();
      ASSERT_EQ(generator.next(), likeliest) << "prompt " << prompt << ", token " << n;
      const auto logits = generator.logits();
      for (size_t j = 0; j < 13; ++j)
        ASSERT_NEAR(logits[j], expected[j], 2e-5) << "prompt " << prompt << ", token " << n;
      tokens.push_back(static_cast<int32_t>(likeliest));
      window = window == 8 ? 6 : window + 1;  // a full context drops its oldest quarter
    }
    EXPECT_EQ(generator.tokens(), tokens);
  }
}

TEST_P(GeneratorTest, SameSeedSameTokens) {
  const auto tokens = [&](uint64_t seed) {
    Generator generator(model_, std::vector<int32_t>{1}, {.top_k = 0, .temperature = 1.5, .seed = seed});
    for (int i = 0; i < 30; ++i) generator.next();
    return generator.tokens();
  };
  EXPECT_EQ(tokens(1), tokens(1));
  EXPECT_NE(tokens(1), tokens(2));
}

TEST_P(GeneratorTest, SamplesDrawnTogetherMatchThoseDrawnAlone) {
  const std::vector<int32_t> prompt = {1, 2, 3};
  const Sampling sampling{.top_k = 0, .temperature = 1.5, .repetition_penalty = 1.2, .seed = 9};
  Generator together(model_, sampling, 3), alone(model_, sampling, 1);
  for (const int64_t first : {0, 5}) {
    together.start(prompt, first);
    for (int i = 0; i < 15; ++i) together.next();
    for (int b = 0; b < 3; ++b) {
      alone.start(prompt, first + b);
      for (int i = 0; i < 15; ++i) alone.next();
      EXPECT_EQ(together.tokens(b), alone.tokens()) << "sample " << first + b;
    }
    EXPECT_NE(together.tokens(0), together.tokens(1));
  }
  Generator usual(model_, prompt, sampling);
  alone.start(prompt);
  for (int i = 0; i < 15; ++i) EXPECT_EQ(alone.next(), usual.next());
}

TEST_P(GeneratorTest, PromptTokensArePenalisedToo) {
  int changed = 0;
  for (int32_t first = 0; first < 13; ++first) {
    const std::vector<int32_t> prompt = {first, 1};
    auto logits = logits_after(prompt, 2);
    const auto likeliest = std::ranges::max_element(logits) - logits.begin();
    for (const int32_t id : std::set(prompt.begin(), prompt.end())) {
      float& z = logits[static_cast<size_t>(id)];
      z = z > 0 ? z / 5 : z * 5;
    }
    const auto expected = std::ranges::max_element(logits) - logits.begin();
    Generator generator(model_, prompt, {.temperature = 0.0, .repetition_penalty = 5.0});
    EXPECT_EQ(generator.next(), expected) << "first token " << first;
    changed += expected != likeliest;
  }
  EXPECT_GT(changed, 0);
}

TEST_P(GeneratorTest, TheTokenWasDrawnFromTheLogits) {
  const std::vector<int32_t> prompt = {4, 7};
  Generator generator(model_, {.top_k = 0, .seed = 2}, 2);
  generator.start(prompt);
  for (int n = 0; n < 4; ++n) {
    generator.next();
    const std::vector<float> logits = generator.logits();
    ASSERT_EQ(logits.size(), 2u * 13);
    for (int b = 0; b < 2; ++b) {
      const auto& tokens = generator.tokens(b);
      const auto expected = logits_after(std::span(tokens).first(tokens.size() - 1), tokens.size() - 1);
      for (size_t j = 0; j < 13; ++j) EXPECT_NEAR(logits[static_cast<size_t>(b) * 13 + j], expected[j], 2e-5);
    }
  }
}

TEST_P(GeneratorTest, WindowsScoreEveryTokenOnce) {
  for (const size_t length : {0u, 1u, 2u, 7u, 8u, 9u, 21u}) {
    for (const size_t stride : {1u, 3u, 4u, 8u}) expect_same_losses(length, stride, 5);
  }
}

#ifndef HIPGPT_EMULATED  // so many windows are slow on the emulator
TEST_P(GeneratorTest, MoreWindowsThanOneBatchHolds) {
  expect_same_losses(700, 1, 1000);
  expect_same_losses(700, 1, 1);
}
#endif

TEST_P(GeneratorTest, WindowsOfAModelThatSeesOneToken) {
  ModelConfig config = kConfig;
  config.max_seq_len = 1;
  GPTModel model(*device_, config);
  device_->copy_to_device(model.weights().flat(),
                          std::vector<float>(static_cast<size_t>(model.weights().size()), 0.1f).data());
  int scored = 0;
  SlidingWindows windows(model, 1, [&](int32_t, float loss) {
    EXPECT_NEAR(loss, std::log(13.0), 1e-5);  // all tokens are equally likely
    ++scored;
  });
  windows.push(std::vector<int32_t>{1, 2, 3, 4});
  windows.finish();
  EXPECT_EQ(scored, 3);
}

TEST_P(GeneratorTest, ABrokenModelIsAnError) {
  const std::vector<float> broken(static_cast<size_t>(model_.weights().size()), std::nanf(""));
  device_->copy_to_device(model_.weights().flat(), broken.data());
  Generator generator(model_, std::vector<int32_t>{1}, {});
  EXPECT_THROW(generator.next(), std::runtime_error);
}

TEST_P(GeneratorTest, EmptyPromptIsAnError) {
  EXPECT_THROW(Generator(model_, std::span<const int32_t>(), {}), std::runtime_error);
}

TEST(LogProbabilitiesTest, MatchASoftmax) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.4f), std::log(0.1f), std::log(0.4f)};
  const DrawnToken drawn = score_token(logits, 2, 3);
  EXPECT_EQ(drawn.chosen.id, 2);
  EXPECT_NEAR(drawn.chosen.logprob, std::log(0.1), 1e-6);
  ASSERT_EQ(drawn.likeliest.size(), 3u);
  EXPECT_EQ(drawn.likeliest[0].id, 1);  // among equal ones the smaller id comes first
  EXPECT_EQ(drawn.likeliest[1].id, 3);
  EXPECT_EQ(drawn.likeliest[2].id, 0);
  EXPECT_NEAR(drawn.likeliest[0].logprob, std::log(0.4), 1e-6);
  EXPECT_TRUE(score_token(logits, 0, 0).likeliest.empty());
  EXPECT_EQ(score_token(logits, 0, 99).likeliest.size(), 4u);
  const std::vector<float> large = {1000.0f, 1000.0f};
  EXPECT_NEAR(score_token(large, 0, 0).chosen.logprob, std::log(0.5), 1e-6);
}

TEST(Utf8StreamTest, CharactersArePrintedWhole) {
  const std::string text =
      "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80z";  // a, e acute, a CJK character, an emoji, z
  Utf8Stream stream;
  std::string out;
  for (const char byte : text) {
    const std::string piece = stream.push(std::string_view(&byte, 1));
    EXPECT_TRUE(piece.empty() || (static_cast<unsigned char>(piece[0]) & 0xC0) != 0x80)
        << "starts inside a character";
    out += piece;
  }
  EXPECT_EQ(out + stream.finish(), text);
}

TEST(Utf8StreamTest, BrokenBytesBecomeReplacementCharacters) {
  const auto whole = [](std::string_view bytes) {
    Utf8Stream stream;
    const std::string out = stream.push(bytes);
    return out + stream.finish();
  };
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(whole("\xFF"), r);
  EXPECT_EQ(whole("\x80x"), r + "x");
  EXPECT_EQ(whole("\xC0\xAF"), r + r);                  // an overlong form
  EXPECT_EQ(whole("\xE0\x80\x80"), r + r + r);          // an overlong form
  EXPECT_EQ(whole("\xED\xA0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(whole("\xF4\x90\x80\x80"), r + r + r + r);  // beyond U+10FFFF
  EXPECT_EQ(whole("\xE4\xB8x"), r + "x");               // one for the maximal subpart
  EXPECT_EQ(whole("\xF0\x9F\x98"), r);                  // cut short
  EXPECT_EQ(whole(std::string_view("\0", 1)), std::string_view("\0", 1));
}

}  // namespace
}  // namespace hipgpt
