#include <gtest/gtest.h>

#include <filesystem>

#include "error.h"
#include "fixtures.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/word_counter.h"

namespace hipgpt {
namespace {

using nlohmann::json;

Tokenizer train(std::string_view text, int vocab_size, std::vector<std::string> specials = {},
                int threads = 0) {
  Tokenizer::TrainOptions options;
  options.vocab_size = vocab_size;
  options.special_tokens = std::move(specials);
  options.threads = threads;
  return Tokenizer::train(text, options);
}

json model_of(const Tokenizer& tokenizer) {
  return json::parse(tokenizer.to_json())["model"];
}

uint64_t merges_hash(const Tokenizer& tokenizer) {
  std::string lines;
  const json model = model_of(tokenizer);
  for (const auto& merge : model["merges"]) {
    lines += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  }
  return fnv1a(lines);
}

/// Returns the text of make_generated() in make_fixtures.py.
std::string generated_text() {
  uint64_t state = 1;
  std::string text;
  while (text.size() < 400'000) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const uint64_t random_bits = state >> 33;
    uint64_t word = random_bits % (uint64_t{1} << (1 + random_bits / 1024 % 12));
    do {
      text += static_cast<char>('a' + word % 7);
      word /= 7;
    } while (word != 0);
    text += random_bits % 16 == 0 ? '\n' : ' ';
  }
  return text;
}

TEST(Trainer, LearnsWhatHuggingFaceLearns) {
  const json golden = read_json_fixture("multiscript.tokenizer.json")["model"];
  const json ours = model_of(train(read_fixture("multiscript.txt"), 1500));
  EXPECT_EQ(ours["merges"], golden["merges"]);
  EXPECT_EQ(ours["vocab"], golden["vocab"]);
}

TEST(Trainer, LearnsWhatHuggingFaceLearnsFromALargerText) {
  const json hashes = read_json_fixture("hashes.json");
  EXPECT_EQ(merges_hash(train(generated_text(), 1500)), hashes["generated 1500"].get<uint64_t>());
}

TEST(Trainer, LearnsWhatHuggingFaceLearnsFromTinyShakespeare) {
  const std::string path = std::string(HIPGPT_TEST_DATA_DIR) + "/../data/tinyshakespeare.txt";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " does not exist";
  const json hashes = read_json_fixture("hashes.json");
  const std::string text = read_file(path);
  EXPECT_EQ(merges_hash(train(text, 1000)), hashes["tinyshakespeare 1000"].get<uint64_t>());
  EXPECT_EQ(merges_hash(train(text, 5000)), hashes["tinyshakespeare 5000"].get<uint64_t>());
}

TEST(Trainer, IsTheSameForAnyNumberOfThreads) {
  const std::string text = generated_text() + read_fixture("multiscript.txt");
  const auto one = train(text, 700, {}, 1);
  for (const int threads : {2, 3, 8}) EXPECT_EQ(train(text, 700, {}, threads).to_json(), one.to_json());
}

/// With little room for lists, training takes many rounds, up to one for each merge.
TEST(Trainer, IsTheSameInAnyNumberOfRounds) {
  const std::string text = generated_text().substr(0, 60'000) + read_fixture("multiscript.txt");
  const auto learn = [&](size_t list_budget, int threads) {
    return learn_bpe(Text(text), SpecialTokens(), 600, threads, {}, list_budget);
  };
  const LearnedBpe whole = learn(kListBudget, 1);
  EXPECT_EQ(whole.merges.size(), 600u - 256u);
  for (const size_t list_budget : {size_t{0}, size_t{1000}, size_t{30'000}}) {
    for (const int threads : {1, 3}) {
      const LearnedBpe learned = learn(list_budget, threads);
      EXPECT_EQ(learned.merges, whole.merges) << list_budget;
      EXPECT_EQ(learned.spellings, whole.spellings) << list_budget;
    }
  }
}

TEST(Trainer, CountsWordsOfAnyLengthAndBytes) {
  std::mt19937 rng(3);
  std::string text;
  for (int i = 0; i < 20'000; ++i) {
    // Few different letters make words recur. The zeros among them are not padding.
    for (size_t size = rng() % (i % 10 == 0 ? 40 : 4); size > 0; --size) text += "ab\0"[rng() % 3];
    text += i % 7 == 0 ? '\n' : ' ';
  }
  std::map<std::string, uint64_t, std::less<>> expected;
  for (size_t begin = 0; begin < text.size();) {
    const size_t line_end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    const std::string_view line = std::string_view(text).substr(0, line_end);
    for (size_t end; begin < line_end; begin = end) {
      end = word_end(line, begin);
      ++expected[std::string(line.substr(begin, end - begin))];
    }
  }
  for (const int threads : {1, 4}) {
    std::map<std::string, uint64_t, std::less<>> counted;
    for (const WordTable& table : count_words(Text(text), SpecialTokens(), threads, {})) {
      table.for_each([&](std::string_view word, uint64_t count) {
        EXPECT_TRUE(counted.emplace(word, count).second) << "a word is in two places";
      });
    }
    EXPECT_TRUE(counted == expected);
  }
}

TEST(Trainer, EqualCountsGoToTheSmallerIds) {
  // "ab", "cd" and "ba" occur once each, and 'a' 'b' has the smaller ids.
  const json merges = model_of(train("ab cd\nba", 258))["merges"];
  EXPECT_EQ(merges, (json::parse(R"([["a", "b"], ["b", "a"]])")));
}

TEST(Trainer, BytesHaveIdsInTheOrderOfTheAlphabet) {
  const auto tokenizer = train("", 256);
  EXPECT_EQ(tokenizer.token_bytes(0), "!");
  EXPECT_EQ(tokenizer.token_bytes(93), "~");
  EXPECT_EQ(tokenizer.token_bytes(94), "\xA1");
  EXPECT_EQ(tokenizer.token_bytes(187), "\xFF");
  EXPECT_EQ(tokenizer.token_bytes(188), std::string_view("\0", 1));
  EXPECT_EQ(tokenizer.token_bytes(220), " ");
  EXPECT_EQ(tokenizer.token_bytes(255), "\xAD");
}

TEST(Trainer, ATextWithoutMorePairsGivesASmallerVocabulary) {
  EXPECT_EQ(train("", 1000).vocab_size(), 256);
  EXPECT_EQ(train("a\nb\nc", 1000).vocab_size(), 256);
  EXPECT_EQ(train("abc", 1000).vocab_size(), 258);
  EXPECT_EQ(train(std::string(1000, 'a'), 1000).vocab_size(),
            256 + 9 + 5);  // 2, 4, ... 512, and the rest of 1000
}

TEST(Trainer, WordsEndAtLineEnds) {
  // In the whole text, "\n\n" is a word before "\n\nx". Hugging Face's trainer reads lines and
  // never sees it.
  std::string text;
  for (int i = 0; i < 100; ++i) text += "\n\n\nxyz";
  const json vocab = model_of(train(text, 300))["vocab"];
  EXPECT_FALSE(vocab.contains("ĊĊ"));
  EXPECT_TRUE(vocab.contains("xyz"));
}

TEST(Trainer, VocabulariesBeyond16BitsLearnTheSame) {
  const std::string text = read_fixture("multiscript.txt");
  EXPECT_EQ(train(text, 65'536).to_json(), train(text, 65'537).to_json());
}

TEST(Trainer, SpecialTokensComeFirstAndAreNotLearnedFrom) {
  const std::string end = "<|endoftext|>", newline = "\n==\n";
  const auto tokenizer = train("abab" + end + "abab" + newline + "abab", 300, {end, newline});
  EXPECT_EQ(tokenizer.special_token(end), 0);
  EXPECT_EQ(tokenizer.special_token(newline), 1);
  EXPECT_EQ(tokenizer.special_token("ab"), std::nullopt);
  EXPECT_EQ(tokenizer.token_bytes(2), "!");
  EXPECT_EQ(model_of(tokenizer)["merges"], (json::parse(R"([["a", "b"], ["ab", "ab"]])")));
  EXPECT_EQ(tokenizer.encode("abab" + end), (std::vector<int32_t>{259, 0}));
}

TEST(Trainer, ASpecialTokenMayBeAByte) {
  const auto tokenizer = train("xaxaxa", 258, {"a"});
  EXPECT_EQ(tokenizer.vocab_size(), 256);  // the token "a" is the byte 'a'
  EXPECT_EQ(tokenizer.special_token("a"), 0);
  EXPECT_EQ(tokenizer.encode("a"), tokenizer.encode("a", false));
  EXPECT_EQ(Tokenizer::from_json(tokenizer.to_json(), "test").hash(), tokenizer.hash());
}

TEST(Trainer, RejectsImpossibleRequests) {
  EXPECT_THROW(train("abc", 255), Error);
  EXPECT_THROW(train("abc", -1), Error);
  EXPECT_THROW(train("abc", 256, {"<|endoftext|>"}), Error);
  EXPECT_THROW(train("abc", 300, {""}), Error);
  EXPECT_THROW(train("abc", 300, {"<a>", "<a>"}), Error);
  EXPECT_THROW(train("abc", 300, {"\xFF"}), Error);
  EXPECT_THROW(train("abc", 300, {"Ġthe"}), Error);  // spells " the"
}

TEST(Trainer, TakesAnyBytes) {
  std::mt19937 rng(2);
  const std::string text = random_bytes(rng, 20'000);
  const auto tokenizer = train(text, 400);
  EXPECT_EQ(tokenizer.vocab_size(), 400);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(Trainer, ReportsItsProgress) {
  std::map<std::string, double, std::less<>> last;
  Tokenizer::TrainOptions options;
  options.vocab_size = 300;
  options.threads = 1;
  options.progress = [&](std::string_view stage, double fraction) {
    double& previous = last[std::string(stage)];
    EXPECT_GE(fraction, previous);
    previous = fraction;
  };
  Tokenizer::train(read_fixture("multiscript.txt"), options);
  EXPECT_EQ(last.size(), 2u);
  for (const auto& [stage, fraction] : last) EXPECT_EQ(fraction, 1.0) << stage;
}

}  // namespace
}  // namespace hipgpt
