// Tests that any number of special tokens is found as by a linear search, but without one.
#include "tokenizer/sorted_texts.h"

#include <gtest/gtest.h>

#include <random>

#include "tokenizer.h"

namespace hipgpt {
namespace {

std::optional<uint32_t> longest_prefix_plainly(const std::vector<std::string>& texts, std::string_view s) {
  std::optional<uint32_t> best;
  for (uint32_t i = 0; i < texts.size(); ++i) {
    if (s.starts_with(texts[i]) && (!best || texts[i].size() > texts[*best].size())) best = i;
  }
  return best;
}

TEST(SortedTexts, FindsWhatAPlainSearchFinds) {
  std::mt19937 random(1);
  const auto text = [&](int longest) {
    std::string s(random() % static_cast<unsigned>(longest + 1), '\0');
    for (char& c : s) c = "ab\xff<"[random() % 4];
    return s;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> texts;
    for (unsigned n = random() % 12; n > 0; --n) texts.push_back(text(5));
    const SortedTexts sorted(texts);
    for (int i = 0; i < 50; ++i) {
      const std::string s = text(7);
      EXPECT_EQ(sorted.longest_prefix(s), longest_prefix_plainly(texts, s)) << s;
      const auto found = std::ranges::find(texts, s);
      EXPECT_EQ(sorted.find(s),
                found == texts.end() ? std::nullopt : std::optional<uint32_t>(found - texts.begin()));
    }
  }
}

/// Returns the number of bytes read to find each of n texts once.
size_t looks_for_all(size_t n) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < n; ++i) texts.push_back("<|special_" + std::to_string(1'000'000 + i) + "|>");
  const SortedTexts sorted(texts);
  size_t looks = 0;
  for (const std::string& text : texts) EXPECT_TRUE(sorted.find(text, &looks));
  return looks;
}

TEST(SortedTexts, SixtyTimesAsManyTextsCostLittleMoreEach) {
  const size_t few = looks_for_all(1'000), many = looks_for_all(60'000);
  EXPECT_LT(many, 60 * few * 2);  // a linear search would read 3,600 times as many
}

TEST(SortedTexts, ATokenizerWithSixtyThousandAddedTokensFindsThem) {
  std::vector<std::string> specials;
  for (int i = 0; i < 60'000; ++i) specials.push_back("<|" + std::to_string(i) + "|>");
  const Tokenizer trained =
      Tokenizer::train("", {.vocab_size = 60'256, .special_tokens = specials, .threads = 1, .progress = {}});
  const Tokenizer tokenizer = Tokenizer::from_json(trained.to_json(), "many");
  EXPECT_EQ(tokenizer.encode("<|59999|><|5|><|0|>"), (std::vector<int32_t>{59'999, 5, 0}));
}

}  // namespace
}  // namespace hipgpt
