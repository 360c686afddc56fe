#include "tokenizer/pretokenizer.h"

#include <gtest/gtest.h>

#include "fixtures.h"

namespace hipgpt {
namespace {

std::vector<size_t> word_sizes(std::string_view text) {
  std::vector<size_t> sizes;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = word_end(text, begin);
    sizes.push_back(end - begin);
    begin = end;
  }
  return sizes;
}

using Sizes = std::vector<size_t>;

TEST(Pretokenizer, FollowsThePattern) {
  EXPECT_EQ(word_sizes("Hello world"), (Sizes{5, 6}));
  EXPECT_EQ(word_sizes("we'll  go"), (Sizes{2, 3, 1, 3}));
  EXPECT_EQ(word_sizes("x 's"), (Sizes{1, 2, 1}));
  EXPECT_EQ(word_sizes("a12 b!?\n"), (Sizes{1, 2, 2, 2, 1}));
  EXPECT_EQ(word_sizes("a\n\n\nb"), (Sizes{1, 2, 1, 1}));
  EXPECT_EQ(word_sizes("a  \n"), (Sizes{1, 3}));
  EXPECT_EQ(word_sizes(" "), (Sizes{1}));
  EXPECT_EQ(word_sizes("'"), (Sizes{1}));
  EXPECT_EQ(word_sizes("abcdefgh abcdefghijklmnop!"), (Sizes{8, 17, 1}));
}

TEST(Pretokenizer, CutsAsHuggingFaceDoes) {
  for (const auto& example : read_json_fixture("words.json")) {
    const auto text = example[0].get<std::string>();
    EXPECT_EQ(word_sizes(text), example[1].get<Sizes>()) << example[0];
  }
}

TEST(Pretokenizer, EveryAsciiByteHasItsClass) {
  for (int byte = 0; byte < 128; ++byte) {
    const char c = static_cast<char>(byte);
    auto expected = CharClass::kOther;
    if (std::string_view("\t\n\v\f\r ").find(c) != std::string_view::npos) expected = CharClass::kSpace;
    if (byte >= '0' && byte <= '9') expected = CharClass::kNumber;
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')) expected = CharClass::kLetter;
    EXPECT_EQ(character_at({&c, 1}, 0).kind, expected) << byte;
    // The same byte in the middle of a long run of letters, which are skipped eight at a time.
    std::string run(20, 'q');
    run[13] = c;
    EXPECT_EQ(word_end(run, 0), expected == CharClass::kLetter ? 20u : 13u) << byte;
  }
}

TEST(Pretokenizer, MalformedBytesAreCharactersOfTheirOwn) {
  for (const std::string_view text :
       {"\x80", "\xBF\x41", "\xC3", "\xC3\x41", "\xE6\x97", "\xF0\x9F\x99", "\xC0\x80", "\xC1\xBF",
        "\xE0\x80\x80", "\xF0\x80\x80\x80", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF4\x90\x80\x80",
        "\xF8\x88\x80\x80\x80", "\xFE", "\xFF"}) {
    const Character c = character_at(text, 0);
    EXPECT_EQ(c.kind, CharClass::kOther);
    EXPECT_EQ(c.size, 1);
  }
  EXPECT_EQ(word_sizes("a\xC3 b"), (Sizes{1, 1, 2}));
}

/// Every cut that is reported as safe must leave the words unchanged, from every starting point.
TEST(Pretokenizer, SafeCutsAreSafe) {
  std::mt19937 rng(1);
  for (int round = 0; round < 300; ++round) {
    const std::string text = round % 3 == 0 ? random_bytes(rng, 40) : random_text(rng, 25);
    const Sizes whole = word_sizes(text);
    for (size_t from = 0; from <= text.size(); ++from) {
      const size_t cut = next_safe_cut(text, from);
      ASSERT_TRUE(cut > from || cut == text.size());
      Sizes parts = word_sizes(std::string_view(text).substr(0, cut));
      const Sizes rest = word_sizes(std::string_view(text).substr(cut));
      parts.insert(parts.end(), rest.begin(), rest.end());
      ASSERT_EQ(parts, whole) << "cut at " << cut << " of " << ::testing::PrintToString(text);
    }
  }
}

TEST(Pretokenizer, FindsCutsInOrdinaryText) {
  EXPECT_EQ(next_safe_cut("one two three", 4), 7u);
  EXPECT_EQ(next_safe_cut("\xE6\x97\xA5\xE6\x97\xA5\xE3\x80\x82\xE6\x97\xA5", 1),
            6u);  // before an ideographic stop
  EXPECT_EQ(next_safe_cut("don't", 0), 3u);
  EXPECT_EQ(next_safe_cut("aaaaaaaa", 2), 8u);
  EXPECT_EQ(next_safe_cut("        a", 2), 9u);
}

}  // namespace
}  // namespace hipgpt
