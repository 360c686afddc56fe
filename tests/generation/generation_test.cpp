// Generation with a cache, sliding past the context, and whole characters in a stream.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "generation/utf8_stream.h"
#include "generator.h"
#include "gpt_model.h"
#include "operations/device_fixture.h"

namespace hipgpt {
namespace {

class GeneratorTest : public testing::TestWithParam<DeviceCase> {
 protected:
  GeneratorTest() : device_(make_device(GetParam().name, GetParam().threads)), model_(*device_, kConfig) {
    std::mt19937 generator(5);
    std::vector<float> w(static_cast<size_t>(model_.layout().num_elements));
    for (float& v : w) v = std::uniform_real_distribution<float>(-0.7f, 0.7f)(generator);
    device_->copy_to_device(model_.weights().flat(), w.data());
    model_.plan(1, kConfig.max_seq_len, false);
  }

  /// The likeliest token after the last `count` tokens, by a full pass without a cache.
  int32_t likeliest_after(const std::vector<int32_t>& tokens, size_t count) {
    std::vector<int32_t> window(tokens.end() - static_cast<ptrdiff_t>(count), tokens.end());
    window.resize(static_cast<size_t>(kConfig.max_seq_len));
    const auto logits = model_.logits(window.data(), 1);
    const auto row = logits.begin() + static_cast<ptrdiff_t>((count - 1) * kConfig.vocab_size);
    return static_cast<int32_t>(std::max_element(row, row + kConfig.vocab_size) - row);
  }

  static constexpr ModelConfig kConfig{.vocab_size = 13,
                                       .max_seq_len = 8,
                                       .embed_dim = 12,
                                       .num_heads = 2,
                                       .num_layers = 2,
                                       .ff_hidden_dim = 16};
  std::unique_ptr<Device> device_;
  GPTModel model_;
};

INSTANTIATE_TEST_SUITE_P(Devices, GeneratorTest, testing::ValuesIn(all_devices()), case_name);

TEST_P(GeneratorTest, GreedyEqualsFullPassesAlsoPastTheContext) {
  for (const size_t prompt : {1u, 5u, 8u, 20u}) {
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < prompt; ++i) tokens.push_back(static_cast<int32_t>(i * 5 % 13));
    Generator generator(model_, tokens, {.temperature = 0.0});
    size_t window = std::min<size_t>(prompt, 8);
    for (int n = 0; n < 40; ++n) {
      const int32_t expected = likeliest_after(tokens, window);
      ASSERT_EQ(generator.next(), expected) << "prompt " << prompt << ", token " << n;
      tokens.push_back(expected);
      window = window == 8 ? 6 : window + 1;  // a full context forgets its oldest quarter
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

TEST_P(GeneratorTest, ABrokenModelIsAnError) {
  const std::vector<float> broken(static_cast<size_t>(model_.layout().num_elements), std::nanf(""));
  device_->copy_to_device(model_.weights().flat(), broken.data());
  Generator generator(model_, std::vector<int32_t>{1}, {});
  EXPECT_THROW(generator.next(), std::runtime_error);
}

TEST_P(GeneratorTest, EmptyPromptIsAnError) {
  EXPECT_THROW(Generator(model_, {}, {}), std::runtime_error);
}

TEST(Utf8StreamTest, CharactersComeWhole) {
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
  EXPECT_EQ(whole("\xE4\xB8x"), r + "x");               // one for the maximal part
  EXPECT_EQ(whole("\xF0\x9F\x98"), r);                  // cut short
  EXPECT_EQ(whole(std::string_view("\0", 1)), std::string_view("\0", 1));
}

}  // namespace
}  // namespace hipgpt
