// Vocabularies of other models: how they split and normalize texts, and the files that they come in. The
// golden values are those of Hugging Face's library (make_fixtures.py); check_vocabularies.py compares more.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "error.h"
#include "fixtures.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pretokenizer.h"

namespace hipgpt {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;
using Sizes = std::vector<size_t>;

const std::map<std::string, const Pretokenizer*>& pretokenizers() {
  static const std::map<std::string, const Pretokenizer*> by_name = {{"gpt2", &kGpt2Words},
                                                                     {"starcoder2", &kDigitsAndGpt2Words},
                                                                     {"numbers", &kNumbersAndGpt2Words},
                                                                     {"llama3", &kLlama3Words},
                                                                     {"qwen2", &kQwen2Words},
                                                                     {"cl100k", &kCl100kWords},
                                                                     {"o200k", &kO200kWords}};
  return by_name;
}

Sizes word_sizes(const Pretokenizer& pretokenizer, std::string_view text) {
  Sizes sizes;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = pretokenizer.word_end(text, begin);
    sizes.push_back(end - begin);
    begin = end;
  }
  return sizes;
}

/// The words with a | between them.
std::string words(const Pretokenizer& pretokenizer, std::string_view text) {
  std::string result;
  for (const size_t size : word_sizes(pretokenizer, text)) {
    result += (result.empty() ? "" : "|") + std::string(text.substr(0, size));
    text.remove_prefix(size);
  }
  return result;
}

TEST(Vocabularies, SplitAsTheirExpressionsSay) {
  EXPECT_EQ(words(kGpt2Words, "I'LL 12345 go\n\n x"), "I|'|LL| 12345| go|\n\n| x");
  EXPECT_EQ(words(kDigitsAndGpt2Words, "I'll  12\n3 go"), "I|'ll|  |1|2|\n|3| go");
  EXPECT_EQ(words(kNumbersAndGpt2Words, "I'll  12\n3 go \u00BD7x"), "I|'ll|  |12|\n|3| go| |\u00BD7|x");
  EXPECT_EQ(words(kLlama3Words, "I'LL 12345 go!\n\n x  \n  y"), "I|'LL| |123|45| go|!\n\n| x|  \n| | y");
  EXPECT_EQ(words(kLlama3Words, "(a) \tb/c\nd'\u017Fe"), "(a|)| |\tb|/c|\n|d|'\u017F|e");
  EXPECT_EQ(words(kQwen2Words, "x123 \u00B2"), "x|1|2|3| |\u00B2");
  EXPECT_EQ(words(kLlama3Words, "a \n  "), "a| \n|  ");
  EXPECT_EQ(words(kCl100kWords, "a \n  "), "a| \n  ");
  EXPECT_EQ(words(kCl100kWords, "a \n  b"), "a| \n| | b");
  EXPECT_EQ(words(kO200kWords, "camelCase HTTPServer's ABC"), "camel|Case| HTTPServer's| ABC");
  EXPECT_EQ(words(kO200kWords, "a//\n/ \u65E5A\u65E5BC e\u0301E\u0301"),
            "a|//\n/| \u65E5A\u65E5|BC| e\u0301|E\u0301");
  EXPECT_EQ(words(kO200kWords, "\u0301AB!\u0301 !!\u0301"), "\u0301|AB|!\u0301| !!\u0301");
}

TEST(Vocabularies, SplitAsHuggingFaceDoes) {
  const json kinds = read_json_fixture("vocabularies.json");
  for (const auto& [name, pretokenizer] : pretokenizers()) {
    for (const json& example : kinds[name]["examples"])
      EXPECT_EQ(word_sizes(*pretokenizer, example[0].get<std::string>()), example[1].get<Sizes>())
          << name << example[0];
  }
}

/// Every cut that is reported as safe must leave the words unchanged, from every starting point.
TEST(Vocabularies, SafeCutsAreSafe) {
  std::mt19937 rng(7);
  for (int round = 0; round < 200; ++round) {
    std::string text = round % 3 == 0 ? random_bytes(rng, 30) : random_text(rng, 20);
    for (const char* piece : {"'S", "/", "B", "\u0301", "\n", "c"})
      text.insert(rng() % (text.size() + 1), piece);
    for (const auto& [name, pretokenizer] : pretokenizers()) {
      const Sizes whole = word_sizes(*pretokenizer, text);
      for (size_t from = 0; from <= text.size(); ++from) {
        const size_t cut = next_safe_cut(*pretokenizer, text, from);
        ASSERT_TRUE(cut > from || cut == text.size());
        Sizes parts = word_sizes(*pretokenizer, std::string_view(text).substr(0, cut));
        const Sizes rest = word_sizes(*pretokenizer, std::string_view(text).substr(cut));
        parts.insert(parts.end(), rest.begin(), rest.end());
        ASSERT_EQ(parts, whole) << name << ": cut at " << cut << " of " << ::testing::PrintToString(text);
      }
    }
  }
}

TEST(Vocabularies, FindCutsInOrdinaryText) {
  for (const auto& [name, pretokenizer] : pretokenizers()) {
    EXPECT_EQ(next_safe_cut(*pretokenizer, "one two three", 4), 7u) << name;
    EXPECT_EQ(next_safe_cut(*pretokenizer, "ab12 x", 0), 2u) << name;
    EXPECT_EQ(next_safe_cut(*pretokenizer, "ab. cd", 1), 2u) << name;
  }
}

// ---- Normalization

TEST(Normalizer, GivesTheFormsOfHuggingFace) {
  std::string storage;
  for (const json& example : read_json_fixture("normalized.json")) {
    const auto text = example[0].get<std::string>();
    EXPECT_EQ(normalized(Normalization::kNone, text, storage), text);
    EXPECT_EQ(normalized(Normalization::kNfc, text, storage), example[1].get<std::string>()) << example[0];
    EXPECT_EQ(normalized(Normalization::kNfkc, text, storage), example[2].get<std::string>()) << example[0];
  }
}

TEST(Normalizer, KeepsBytesThatAreNotText) {
  std::string storage;
  const auto nfc = [&](std::string_view text) {
    return std::string(normalized(Normalization::kNfc, text, storage));
  };
  EXPECT_EQ(nfc("\xFF"
                "e\u0301\xCC"
                "e\xCC"),
            "\xFF\u00E9\xCC"
            "e\xCC");
  EXPECT_EQ(nfc("e\xFF\u0301"), "e\xFF\u0301");  // the mark has nothing to combine with
  EXPECT_EQ(nfc(std::string_view("a\0\u0301", 4)), std::string_view("a\0\u0301", 4));
  std::mt19937 rng(8);
  for (int round = 0; round < 500; ++round) {
    const std::string text = random_bytes(rng, rng() % 60), once = nfc(text);
    EXPECT_EQ(nfc(once), once) << ::testing::PrintToString(text);
  }
}

TEST(Normalizer, ManyMarksTakeLinearithmicTime) {
  std::string text = "a", storage;
  for (int i = 0; i < 300'000; ++i) text += i % 2 == 0 ? "\u0301" : "\u0323";
  EXPECT_TRUE(normalized(Normalization::kNfc, text, storage).starts_with("\u1EA1\u0323\u0323"));
}

// ---- tokenizer.json

/// The vocabulary of a fixture with the normalizer, pre-tokenizer and added tokens of one kind.
json document_of(const json& kind) {
  json document = read_json_fixture("multiscript.tokenizer.json");
  document.update(kind["parts"]);
  return document;
}

std::map<std::string, Tokenizer> tokenizers() {
  std::map<std::string, Tokenizer> all;
  const json kinds = read_json_fixture("vocabularies.json");
  for (const auto& [name, kind] : kinds.items())
    all.emplace(name, Tokenizer::from_json(document_of(kind).dump(), name));
  return all;
}

TEST(Vocabularies, GiveTheIdsOfHuggingFace) {
  const json kinds = read_json_fixture("vocabularies.json");
  for (const auto& [name, read] : tokenizers()) {
    const auto written = Tokenizer::from_json(read.to_json(), name);
    EXPECT_EQ(written.hash(), read.hash()) << name;
    EXPECT_EQ(written.to_json(), read.to_json()) << name;
    for (const json& example : kinds[name]["examples"]) {
      const auto text = example[0].get<std::string>();
      EXPECT_EQ(read.encode(text), example[2].get<Ids>()) << name << example[0];
      EXPECT_EQ(written.encode(text), example[2].get<Ids>()) << name << example[0];
      EXPECT_EQ(stream(read, text, 1), example[2].get<Ids>()) << name << example[0];
    }
  }
}

TEST(Vocabularies, DifferInTheirHashes) {
  std::set<uint64_t> hashes;
  for (const auto& [name, tokenizer] : tokenizers())
    EXPECT_TRUE(hashes.insert(tokenizer.hash()).second) << name;
}

TEST(Vocabularies, OnlyGpt2sCanBeWrittenAsItsTwoFiles) {
  for (const auto& [name, tokenizer] : tokenizers())
    EXPECT_EQ(tokenizer.to_gpt2_files().has_value(), name == "gpt2") << name;
}

/// Texts of several pieces, with places where a cut would change the ids.
TEST(Vocabularies, StreamTheSameIds) {
  std::mt19937 rng(9);
  static constexpr std::array kPieces = {"caf", "e", "\u0301", " au", "cafe\u0301 au", "<n>", "\uFF1C",
                                         "n",   ">", "A",      " ",   "\u0323",        "1"};
  std::string text = random_text(rng, 200'000);
  for (int i = 0; i < 300'000; ++i) text += kPieces[rng() % kPieces.size()];
  for (const auto& [name, tokenizer] : tokenizers()) {
    const Ids ids = tokenizer.encode(text);
    for (const int threads : {1, 3}) EXPECT_TRUE(stream(tokenizer, text, threads) == ids) << name << threads;
  }
}

/// The first cut lies near half a megabyte. Only the normalized text has the token there, so a search of the
/// text as it is does not see it.
TEST(Vocabularies, ACutSplitsNoNormalizedToken) {
  const json kind = read_json_fixture("vocabularies.json")["gpt2-nfc"];
  json document = document_of(kind);
  document["added_tokens"][1]["content"] = "b \u00C5 c!d";
  const auto tokenizer = Tokenizer::from_json(document.dump(), "test");
  for (size_t shift = 0; shift < 12; ++shift) {
    const std::string text =
        std::string((size_t{1} << 19) - shift, 'a') + "b \u212B c!d" + std::string(50, 'e');
    const Ids ids = tokenizer.encode(text);
    EXPECT_EQ(std::ranges::count(ids, document["added_tokens"][1]["id"].get<int32_t>()), 1) << shift;
    EXPECT_TRUE(stream(tokenizer, text, 1) == ids) << shift;
  }
}

TEST(Vocabularies, WordsMayBeTokensAsAWhole) {
  json document = read_json_fixture("multiscript.tokenizer.json");
  document["model"]["vocab"]["Ġxyzzy"] = 1500;  // no merge produces it
  document["model"]["vocab"]["xyzzyxyzzyxyzzyxyzzy"] = 1501;
  EXPECT_GT(Tokenizer::from_json(document.dump(), "test").encode(" xyzzy").size(), 1u);
  document["model"]["ignore_merges"] = true;
  const auto read = Tokenizer::from_json(document.dump(), "test");
  for (const auto& tokenizer : {read, Tokenizer::from_json(read.to_json(), "test")}) {
    EXPECT_EQ(tokenizer.encode(" xyzzy"), Ids{1500});
    EXPECT_EQ(tokenizer.encode("xyzzyxyzzyxyzzyxyzzy xyzzy"), (Ids{1501, 1500}));
    EXPECT_GT(tokenizer.encode("xyzzy").size(), 1u);
  }
}

TEST(Vocabularies, MayLeaveIdsOutBelowAddedTokens) {
  json document = read_json_fixture("multiscript.tokenizer.json");
  json added = read_json_fixture("specials.tokenizer.json")["added_tokens"][0];
  added.update({{"id", 1510}, {"content", "<|far|>"}});
  document["added_tokens"].push_back(added);
  // The library gives an added token that is not in "vocab" the next id.
  EXPECT_THROW(Tokenizer::from_json(document.dump(), "test"), Error);
  document["model"]["vocab"]["<|far|>"] = 1510;
  const auto tokenizer = Tokenizer::from_json(document.dump(), "test");
  EXPECT_EQ(tokenizer.vocab_size(), 1511);
  EXPECT_EQ(tokenizer.encode("<|far|>"), Ids{1510});
  EXPECT_EQ(tokenizer.token_bytes(1505), "");
  EXPECT_EQ(Tokenizer::from_json(tokenizer.to_json(), "test").hash(), tokenizer.hash());
  document["model"]["vocab"]["<|far|>"] = document["added_tokens"][0]["id"] = 100'000;
  EXPECT_THROW(Tokenizer::from_json(document.dump(), "test"), Error);
}

// ---- Vocabularies of tiktoken's

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (; !bytes.empty(); bytes.remove_prefix(std::min<size_t>(3, bytes.size()))) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0);
    for (size_t i = 0; i < 4; ++i) text += i <= bytes.size() ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

std::string tiktoken_lines(const std::vector<std::string>& tokens, const char* line_end = "\n") {
  std::string text;
  for (size_t rank = 0; rank < tokens.size(); ++rank)
    text += base64(tokens[rank]) + " " + std::to_string(rank) + line_end;
  return text;
}

std::vector<std::string> multiscript_tokens() {
  std::vector<std::string> tokens;
  for (int32_t id = 0; id < multiscript_tokenizer().vocab_size(); ++id)
    tokens.emplace_back(multiscript_tokenizer().token_bytes(id));
  return tokens;
}

std::string tiktoken_error(const std::string& text, const std::string& path) {
  try {
    Tokenizer::from_tiktoken(text, path);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Tiktoken, GivesTheIdsOfTheSameTokens) {
  const json kinds = read_json_fixture("vocabularies.json");
  for (const char* line_end : {"\n", "\r\n"}) {
    const auto tokenizer =
        Tokenizer::from_tiktoken(tiktoken_lines(multiscript_tokens(), line_end), "a/R50k_base.tiktoken");
    EXPECT_EQ(tokenizer.vocab_size(), 1500);
    EXPECT_EQ(tokenizer.encode(read_fixture("multiscript.txt")),
              read_json_fixture("multiscript.ids.json").get<Ids>());
  }
  for (const auto& [file, kind] : std::map<std::string, std::string>{{"cl100k_base.tiktoken", "cl100k"},
                                                                     {"o200k.tiktoken", "o200k"},
                                                                     {"Llama-3.model", "llama3"},
                                                                     {"qwen.tiktoken", "qwen2"}}) {
    const auto read = Tokenizer::from_tiktoken(tiktoken_lines(multiscript_tokens()), file);
    const auto written = Tokenizer::from_json(read.to_json(), file);
    EXPECT_EQ(written.hash(), read.hash());
    for (const json& example : kinds[kind]["examples"]) {
      const Ids ids = example[2].get<Ids>();
      if (std::ranges::any_of(ids, [](int32_t id) { return id >= 1500; })) continue;  // an added token
      EXPECT_EQ(read.encode(example[0].get<std::string>()), ids) << file << example[0];
    }
  }
}

/// The tokens were learned in another order than their ranks say, so "ab" joins after "bc".
TEST(Tiktoken, JoinsTheLowestRankFirst) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* token : {"bc", "ab", "abcd", "cd", "xyz"}) tokens.emplace_back(token);
  const auto tokenizer = Tokenizer::from_tiktoken(tiktoken_lines(tokens), "r50k");
  EXPECT_EQ(tokenizer.encode("abc"), (Ids{'a', 256}));
  EXPECT_EQ(tokenizer.encode("abcd"), Ids{258});                    // a whole word
  EXPECT_EQ(tokenizer.encode("abcde"), (Ids{'a', 256, 'd', 'e'}));  // which merges do not make
  EXPECT_EQ(tokenizer.encode("xyz"), Ids{260});
}

/// Returns as many tokens as a published file has: the bytes, all pairs and some triples of them.
std::vector<std::string> many_tokens(size_t count) {
  std::vector<std::string> tokens;
  for (size_t i = 0; tokens.size() < count; ++i) {
    std::string token;
    if (i >= 256 + 65536) token += static_cast<char>((i - 256 - 65536) >> 16);
    if (i >= 256) token += static_cast<char>((i - 256) >> 8);
    tokens.push_back(token + static_cast<char>(i));
  }
  return tokens;
}

TEST(Tiktoken, KnowsTheSpecialTokensOfPublishedFiles) {
  const auto cl100k = Tokenizer::from_tiktoken(tiktoken_lines(many_tokens(100256)), "cl100k_base.tiktoken");
  EXPECT_EQ(cl100k.vocab_size(), 100277);
  EXPECT_EQ(cl100k.special_token("<|endoftext|>"), 100257);
  EXPECT_EQ(cl100k.encode("<|endofprompt|>"), Ids{100276});
  EXPECT_EQ(cl100k.token_bytes(100256), "");
  EXPECT_EQ(Tokenizer::from_json(cl100k.to_json(), "saved").hash(), cl100k.hash());

  const std::string llama = tiktoken_lines(many_tokens(128000));
  const auto llama3 = Tokenizer::from_tiktoken(llama, "original/tokenizer.model");
  EXPECT_EQ(llama3.vocab_size(), 128256);
  EXPECT_EQ(llama3.special_token("<|begin_of_text|>"), 128000);
  EXPECT_EQ(llama3.special_token("<|eot_id|>"), 128009);
  EXPECT_EQ(llama3.special_token("<|reserved_special_token_245|>"), 128255);
}

TEST(Tiktoken, RefusesWhatItCannotTell) {
  const std::string good = tiktoken_lines(multiscript_tokens());
  EXPECT_NE(
      tiktoken_error(good, "dir/base.tiktoken").find("dir/base.tiktoken: is a vocabulary of tiktoken's"),
      std::string::npos);
  EXPECT_NE(tiktoken_error(good, "tokenizer.model").find("contains r50k"), std::string::npos);
  const auto expect_error = [&](const std::string& text, const std::string& words) {
    EXPECT_NE(tiktoken_error(text, "r50k").find("r50k: " + words), std::string::npos)
        << tiktoken_error(text, "r50k");
  };
  expect_error(good + "x", "line 1501 should be");
  expect_error(good + "!a== 1500", "line 1501 should be");
  expect_error(good + "YWI= x", "line 1501 should be");
  expect_error(good + "YWI= 99999999", "line 1501 should be");
  expect_error(good + base64(std::string(2000, 'a')) + " 1500", "line 1501 should be");
  expect_error(good + base64("qqqqqqqqqq") + " 1400", "two tokens have rank 1400");
  expect_error(good + base64("qqqqqqqqqq") + " 1502", "no token has rank 1500");
  expect_error(good + base64("a") + " 1500", "rank 1500 repeats an earlier token");
  expect_error("IQ== 0\n", "the vocabulary has no token for byte");
}

/// Whatever happens to a byte, the outcome is a tokenizer that works or an Error.
TEST(Tiktoken, SurvivesDamage) {
  const std::string all = tiktoken_lines(multiscript_tokens()),
                    good = all.substr(0, all.find('\n', 5000) + 1);
  std::mt19937 rng(10);
  int errors = 0;
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    for (int flips = round % 4; flips > 0; --flips) bad[rng() % bad.size()] = static_cast<char>(rng());
    if (round % 5 == 0) bad.resize(rng() % bad.size());
    try {
      const auto tokenizer = Tokenizer::from_tiktoken(bad, "o200k");
      const std::string text = random_bytes(rng, 50);
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 100);
  EXPECT_LT(errors, 300);
}

TEST(Tiktoken, IsRecognisedByItsContent) {
  const auto path = std::filesystem::temp_directory_path() / ("hipgpt_qwen_" + std::to_string(::getpid()));
  std::ofstream(path, std::ios::binary) << tiktoken_lines(multiscript_tokens());
  EXPECT_EQ(Tokenizer::load(path).decode(Tokenizer::load(path).encode("e\u0301 12")), "\u00E9 12");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace hipgpt
