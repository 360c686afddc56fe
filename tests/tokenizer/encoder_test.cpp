#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "error.h"
#include "fixtures.h"
#include "tokenizer/pretokenizer.h"

namespace hipgpt {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

/// A tokenizer whose tokens are the bytes and the given merges, in that order.
Tokenizer with_merges(const std::vector<std::pair<std::string, std::string>>& merges) {
  json document = json::parse(
      Tokenizer::train("", {.vocab_size = 256, .special_tokens = {}, .threads = 1, .progress = {}})
          .to_json());
  for (const auto& [left, right] : merges) {
    document["model"]["merges"].push_back({left, right});
    auto& vocab = document["model"]["vocab"];
    if (!vocab.contains(left + right)) vocab[left + right] = vocab.size();
  }
  return Tokenizer::from_json(document.dump(), "merges");
}

/// The definition, written as plainly as possible: merges the leftmost pair of the lowest rank.
std::vector<std::string> merge_plainly(std::string_view word,
                                       const std::vector<std::pair<std::string, std::string>>& merges) {
  std::vector<std::string> tokens;
  for (const char byte : word) tokens.emplace_back(1, byte);
  while (true) {
    size_t best_rank = merges.size(), best = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      const size_t rank = std::ranges::find(merges, std::pair(tokens[i], tokens[i + 1])) - merges.begin();
      if (rank < best_rank) best_rank = rank, best = i;
    }
    if (best_rank == merges.size()) return tokens;
    tokens[best] += tokens[best + 1];
    tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

TEST(Encoder, GivesTheIdsOfHuggingFace) {
  const std::string text = read_fixture("multiscript.txt");
  const Ids golden = read_json_fixture("multiscript.ids.json").get<Ids>();
  EXPECT_EQ(multiscript_tokenizer().encode(text), golden);
  EXPECT_EQ(stream(multiscript_tokenizer(), text, 1), golden);
  EXPECT_EQ(multiscript_tokenizer().decode(golden), text);
}

TEST(Encoder, FindsSpecialTokensAsHuggingFaceDoes) {
  const auto tokenizer = Tokenizer::load(fixture_path("specials.tokenizer.json"));
  for (const auto& example : read_json_fixture("specials.ids.json")) {
    const auto text = example[0].get<std::string>();
    const Ids golden = example[1].get<Ids>();
    EXPECT_EQ(tokenizer.encode(text), golden) << example[0];
    EXPECT_EQ(stream(tokenizer, text, 1), golden) << example[0];
    EXPECT_EQ(tokenizer.decode(golden), text);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, false)), text);
  }
}

TEST(Encoder, SpecialTokensCanBeLeftAlone) {
  const auto tokenizer = Tokenizer::load(fixture_path("specials.tokenizer.json"));
  EXPECT_EQ(tokenizer.encode("<|end|>"), Ids{1});
  const Ids plain = tokenizer.encode("<|end|>", false);
  EXPECT_GT(plain.size(), 1u);
  EXPECT_EQ(std::ranges::count(plain, 1), 0);
}

/// The test uses words of all lengths, so that it compares both merge algorithms with the definition. The
/// merges come in any order, so that one merge may enable another of lower rank.
TEST(Encoder, MergesTheLowestRankFirst) {
  std::mt19937 rng(3);
  for (int round = 0; round < 60; ++round) {
    std::vector<std::pair<std::string, std::string>> merges;
    std::vector<std::string> known{"a", "b", "c"};
    while (merges.size() < 25) {
      const std::pair merge(known[rng() % known.size()], known[rng() % known.size()]);
      if (std::ranges::find(merges, merge) != merges.end() || merge.first.size() + merge.second.size() > 12)
        continue;
      merges.push_back(merge);
      known.push_back(merge.first + merge.second);
    }
    std::ranges::shuffle(merges, rng);
    const auto tokenizer = with_merges(merges);
    for (const size_t size : {1, 2, 7, 16, 17, 31, 32, 33, 34, 80, 150}) {
      std::string word(size, '\0');
      for (char& c : word) c = static_cast<char>('a' + rng() % (round % 3 + 1));
      std::vector<std::string> tokens;
      for (const int32_t id : tokenizer.encode(word)) tokens.emplace_back(tokenizer.token_bytes(id));
      ASSERT_EQ(tokens, merge_plainly(word, merges)) << word;
    }
  }
}

TEST(Encoder, TheLaterOfTwoMergesOfAPairCounts) {
  const auto tokenizer = with_merges({{"a", "b"}, {"b", "c"}, {"a", "b"}});
  EXPECT_EQ(tokenizer.encode("abc"), (Ids{tokenizer.encode("a")[0], 257}));
}

TEST(Encoder, AWholeWordInTheVocabularyIsOnlyMadeByMerges) {
  json document = json::parse(with_merges({{"a", "b"}}).to_json());
  document["model"]["vocab"]["abc"] = 257;  // no merge produces it
  EXPECT_EQ(Tokenizer::from_json(document.dump(), "test").encode("abc").size(), 2u);
}

TEST(Encoder, LosesNoBytes) {
  std::mt19937 rng(4);
  for (int round = 0; round < 300; ++round) {
    const std::string text = round % 2 == 0 ? random_bytes(rng, rng() % 200) : random_text(rng, rng() % 60);
    const Ids ids = multiscript_tokenizer().encode(text);
    ASSERT_EQ(multiscript_tokenizer().decode(ids), text);
    ASSERT_EQ(stream(multiscript_tokenizer(), text, 2), ids);
  }
  for (const std::string text : {"", "\r\n", "\xEF\xBB\xBF", "👩‍👩‍👧 🇫🇷"}) {
    EXPECT_EQ(multiscript_tokenizer().decode(multiscript_tokenizer().encode(text)), text);
  }
}

TEST(Encoder, WordsThatDifferOnlyInNullsAreDifferent) {
  using namespace std::string_literals;
  const auto& tokenizer = multiscript_tokenizer();
  for (const std::string& text : {"!\0 !"s, "!\0\0 ! !\0"s, "\0 \0\0"s})
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

/// Returns a text of several pieces per thread, with special tokens, long words and white space that a cut
/// must not split.
std::string streaming_text() {
  std::mt19937 rng(5);
  std::string text = random_text(rng, 300'000);
  text += std::string(700'000, 'a') + std::string(700'000, ' ') + "b";
  for (int i = 0; i < 60'000; ++i) text += "<|endoftext|>";
  return text + random_text(rng, 300'000);
}

TEST(Encoder, StreamsTheSameIds) {
  const auto tokenizer = Tokenizer::load(fixture_path("specials.tokenizer.json"));
  const std::string text = streaming_text();
  const Ids ids = tokenizer.encode(text);
  EXPECT_TRUE(tokenizer.decode(ids) == text);
  for (const int threads : {1, 3}) EXPECT_TRUE(stream(tokenizer, text, threads) == ids) << threads;
}

TEST(Encoder, StreamsInPiecesAndReportsItsProgress) {
  const std::string text = streaming_text();
  size_t pieces = 0;
  double last = 0;
  multiscript_tokenizer().encode(
      text, 1, [&](auto) { ++pieces; },
      [&](double fraction) {
        EXPECT_GT(fraction, last);
        last = fraction;
      });
  EXPECT_GT(pieces, 4u);
  EXPECT_EQ(last, 1.0);
}

TEST(Encoder, ASinkMayThrow) {
  EXPECT_THROW(multiscript_tokenizer().encode("text", 2, [](auto) { throw Error("full"); }), Error);
}

/// Files of documents, removed at the end.
class DocumentFiles {
 public:
  explicit DocumentFiles(const std::vector<std::string>& documents) {
    std::string pattern = (std::filesystem::temp_directory_path() / "hipgpt-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw Error("cannot create a temporary folder");
    folder_ = pattern;
    for (const std::string& document : documents) {
      paths.push_back((folder_ / std::to_string(paths.size())).string());
      std::ofstream(paths.back(), std::ios::binary) << document;
    }
  }
  ~DocumentFiles() { std::filesystem::remove_all(folder_); }

  std::vector<std::string> paths;

 private:
  std::filesystem::path folder_;
};

/// Returns short and long documents, which begin and end in odd places.
std::vector<std::string> some_documents() {
  std::mt19937 rng(6);
  std::vector<std::string> documents = {"one",    " ", "\n", streaming_text(), "'s", std::string(kEndOfText),
                                        "<|endof"};
  for (int i = 0; i < 100; ++i) documents.push_back(random_text(rng, 1 + rng() % 50));
  documents.push_back("text|>");
  std::erase(documents, "");
  return documents;
}

std::string joined(const std::vector<std::string>& documents) {
  std::string text;
  for (const std::string& document : documents) {
    if (&document != &documents.front()) text += kEndOfText;
    text += document;
  }
  return text;
}

TEST(Documents, AreEncodedAsOneTextWithEndOfTextBetweenThem) {
  const auto documents = some_documents();
  const DocumentFiles files(documents);
  const auto tokenizer = Tokenizer::train(streaming_text(), {400, {std::string(kEndOfText)}, 0, {}});
  const Ids expected = tokenizer.encode(joined(documents));
  for (const int threads : {1, 2, 5}) {
    Ids ids;
    tokenizer.encode(Text(files.paths), threads,
                     [&](auto piece) { ids.insert(ids.end(), piece.begin(), piece.end()); });
    EXPECT_TRUE(ids == expected) << threads;
  }
}

TEST(Documents, AreLearnedFromAsOneTextWithEndOfTextBetweenThem) {
  const auto documents = some_documents();
  const DocumentFiles files(documents);
  Tokenizer::TrainOptions options{700, {std::string(kEndOfText)}, 0, {}};
  const std::string expected = Tokenizer::train(joined(documents), options).to_json();
  for (options.threads = 1; options.threads < 6; options.threads += 2) {
    EXPECT_TRUE(Tokenizer::train(Text(files.paths), options).to_json() == expected) << options.threads;
  }
}

TEST(Documents, NeedEndOfText) {
  const DocumentFiles files({"one", "two"});
  EXPECT_THROW(multiscript_tokenizer().encode(Text(files.paths), 1, [](auto) {}), Error);
  Ids ids;
  multiscript_tokenizer().encode(Text(std::vector{files.paths[0]}), 1,
                                 [&](auto piece) { ids.assign(piece.begin(), piece.end()); });
  EXPECT_EQ(multiscript_tokenizer().decode(ids), "one");
}

/// A quadratic encoder would take hours.
TEST(Encoder, LongWordsTakeLinearithmicTime) {
  const auto tokenizer = with_merges({{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}, {"a", "b"}});
  const std::string word(2'000'001, 'a');
  const Ids ids = tokenizer.encode(word);
  EXPECT_EQ(ids.size(), 250'001u);
  EXPECT_EQ(ids.front(), 258);
  EXPECT_EQ(ids.back(), tokenizer.encode("a")[0]);
}

TEST(Encoder, IdsOutOfRangeAreErrors) {
  const auto& tokenizer = multiscript_tokenizer();
  EXPECT_THROW(tokenizer.token_bytes(-1), Error);
  EXPECT_THROW(tokenizer.token_bytes(tokenizer.vocab_size()), Error);
  EXPECT_THROW(tokenizer.decode(Ids{0, 1 << 30}), Error);
  EXPECT_NO_THROW(tokenizer.token_bytes(tokenizer.vocab_size() - 1));
}

}  // namespace
}  // namespace hipgpt
