#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "error.h"
#include "fixtures.h"

namespace hipgpt {
namespace {

using nlohmann::json;

/// A small tokenizer.json with a special token, to be damaged.
json small_document() {
  Tokenizer::TrainOptions options;
  options.vocab_size = 262;
  options.special_tokens = {"<|endoftext|>"};
  return json::parse(Tokenizer::train("abcabcab abcab", options).to_json());
}

/// Returns the message of the Error that loading must throw.
std::string error_of(const std::string& text) {
  try {
    Tokenizer::from_json(text, "some.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void expect_error(const json& document, const std::string& about) {
  const std::string message = error_of(document.dump());
  EXPECT_EQ(message.rfind("some.json: ", 0), 0u) << message;
  EXPECT_NE(message.find(about), std::string::npos) << message << " should be about " << about;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

void expect_error_with(const char* pointer, const json& value, const std::string& about) {
  json document = small_document();
  document[json::json_pointer(pointer)] = value;
  expect_error(document, about);
}

void expect_error_without(const char* pointer, const std::string& about) {
  json document = small_document();
  const json::json_pointer member(pointer);
  document[member.parent_pointer()].erase(member.back());
  expect_error(document, about);
}

/// A file in the folder for temporary files, removed at the end.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& name, const std::string& content)
      : path(std::filesystem::temp_directory_path() / ("hipgpt_tokenizer_test_" + name)) {
    std::ofstream(path, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

TEST(TokenizerJson, ComesBackUnchanged) {
  for (const char* name : {"multiscript.tokenizer.json", "specials.tokenizer.json"}) {
    const auto theirs = Tokenizer::load(fixture_path(name));
    const auto ours = Tokenizer::from_json(theirs.to_json(), name);
    EXPECT_EQ(ours.to_json(), theirs.to_json());
    EXPECT_EQ(ours.hash(), theirs.hash());
    EXPECT_EQ(json::parse(ours.to_json())["model"]["merges"], read_json_fixture(name)["model"]["merges"]);
  }
}

TEST(TokenizerJson, ReadsMergesOfBothKinds) {
  json document = small_document();
  const auto hash = Tokenizer::from_json(document.dump(), "arrays").hash();
  for (json& merge : document["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  EXPECT_EQ(Tokenizer::from_json(document.dump(), "strings").hash(), hash);
}

TEST(TokenizerJson, ReadsWhatOlderVersionsWrote) {
  json document = small_document();
  const auto hash = Tokenizer::from_json(document.dump(), "new").hash();
  document["model"].erase("type");
  document["model"].erase("ignore_merges");
  document["model"].erase("byte_fallback");
  document["model"]["continuing_subword_prefix"] = "";
  document["model"]["end_of_word_suffix"] = "";
  document["pre_tokenizer"].erase("use_regex");
  document["post_processor"] = nullptr;
  document["decoder"] = nullptr;
  EXPECT_EQ(Tokenizer::from_json(document.dump(), "old").hash(), hash);
}

TEST(TokenizerJson, TheHashDistinguishesTokenizers) {
  json document = small_document();
  const auto hash = Tokenizer::from_json(document.dump(), "test").hash();
  json other_merges = document;
  std::swap(other_merges["model"]["merges"][0], other_merges["model"]["merges"][1]);
  EXPECT_NE(Tokenizer::from_json(other_merges.dump(), "test").hash(), hash);
  json other_ids = document;
  std::swap(other_ids["model"]["vocab"]["a"], other_ids["model"]["vocab"]["b"]);
  EXPECT_NE(Tokenizer::from_json(other_ids.dump(), "test").hash(), hash);
  json no_specials = document;
  no_specials["added_tokens"] = json::array();
  EXPECT_NE(Tokenizer::from_json(no_specials.dump(), "test").hash(), hash);
}

TEST(TokenizerJson, RefusesUnsupportedFeatures) {
  expect_error_with("/normalizer", {{"type", "NFC"}}, "normalizer");
  expect_error_with("/truncation", {{"max_length", 5}}, "truncation");
  expect_error_with("/padding", {{"strategy", "BatchLongest"}}, "padding");
  expect_error_with("/pre_tokenizer", nullptr, "pre_tokenizer");
  expect_error_with("/pre_tokenizer/type", "Whitespace", "pre_tokenizer");
  expect_error_with("/pre_tokenizer/add_prefix_space", true, "add_prefix_space");
  expect_error_with("/pre_tokenizer/use_regex", false, "use_regex");
  expect_error_with("/post_processor", {{"type", "TemplateProcessing"}}, "post_processor");
  expect_error_with("/decoder", {{"type", "WordPiece"}}, "decoder");
  expect_error_with("/model/type", "Unigram", "BPE");
  expect_error_with("/model/dropout", 0.1, "dropout");
  expect_error_with("/model/continuing_subword_prefix", "##", "continuing_subword_prefix");
  expect_error_with("/model/end_of_word_suffix", "</w>", "end_of_word_suffix");
  expect_error_with("/model/byte_fallback", true, "byte_fallback");
  expect_error_with("/model/ignore_merges", true, "ignore_merges");
  expect_error_with("/added_tokens/0/single_word", true, "single_word");
  expect_error_with("/added_tokens/0/lstrip", true, "lstrip");
  expect_error_with("/added_tokens/0/rstrip", true, "rstrip");
  expect_error_with("/version", "2.0", "version");
}

TEST(TokenizerJson, RefusesMissingAndIllTypedParts) {
  for (const char* key :
       {"/version", "/pre_tokenizer", "/model", "/model/vocab", "/model/merges",
        "/pre_tokenizer/add_prefix_space", "/added_tokens/0/id", "/added_tokens/0/content"}) {
    expect_error_without(key, json::json_pointer(key).back());
    for (const json& wrong : {json(3.5), json("x"), json(json::array({1})), json(true)}) {
      if (wrong == true && std::string_view(key).ends_with("add_prefix_space")) continue;
      if (wrong == "x" && std::string_view(key).ends_with("content")) continue;
      expect_error_with(key, wrong, "");
    }
  }
  expect_error_with("/added_tokens", 7, "added_tokens");
  expect_error_with("/added_tokens/0", "x", "content");
  for (const char* text : {"null", "[]", "3", "\"x\"", "{}", "{\"model\":{}}"})
    expect_error(json::parse(text), "");
}

TEST(TokenizerJson, RefusesABrokenVocabulary) {
  for (const json& id :
       {json(-1), json(1.0), json("1"), json(nullptr), json(4294967296u), json(2147483648u)}) {
    expect_error_with("/model/vocab/a", id, "\"a\"");
  }
  expect_error_with("/model/vocab/a", 262, "262");  // past the end
  expect_error_with("/model/vocab/a", 2000000000, "2000000000");
  expect_error_with("/model/vocab/a", 5, "same id");
  expect_error_with("/model/vocab/Ω", 262, "alphabet");
  expect_error_with("/model/vocab/", 262, "alphabet");  // the key is the empty string
  json lacking = small_document();
  lacking["model"]["vocab"]["!!"] = lacking["model"]["vocab"]["Ń"];
  lacking["model"]["vocab"].erase("Ń");
  expect_error(lacking, "0xad");
  expect_error_with("/added_tokens/0/id", 1, "<|endoftext|>");
  expect_error_with("/added_tokens/0/content", "", "empty");
  expect_error_with("/added_tokens/0/content", "Ġa", "mistaken");
  json twice = small_document();
  twice["added_tokens"].push_back(twice["added_tokens"][0]);
  expect_error(twice, "twice");
}

TEST(TokenizerJson, RefusesBrokenMerges) {
  expect_error_with("/model/merges/0", {"a", "Ω"}, "Ω");
  expect_error_with("/model/merges/0", {"c", "c"}, "cc");
  expect_error_with("/model/merges/0", {"a"}, "pairs");
  expect_error_with("/model/merges/0", {"a", 1}, "pairs");
  expect_error_with("/model/merges/0", 1, "pairs");
  expect_error_with("/model/merges/0", "ab", "space");
  expect_error_with("/model/merges/0", "a b c", "space");
}

TEST(TokenizerJson, RefusesWhatIsNotJson) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("hello"), std::string("{\"a\":1e9999}"),
        std::string("\xFF"), std::string("{\"\xC3\": 1}"), std::string(3, '\0')}) {
    EXPECT_NE(error_of(text).find("JSON"), std::string::npos) << error_of(text);
  }
  EXPECT_NE(error_of(std::string(200'000, '[')).find("JSON"), std::string::npos);
}

TEST(TokenizerJson, RefusesDeepNesting) {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  EXPECT_NE(error_of(deep).find("some.json"), std::string::npos);
  const std::string good = small_document().dump();
  const std::pair<std::string, std::string> cases[] = {
      {"\"vocab\":{", "\"vocab\":{\"deep\":" + deep + ","},
      {"\"merges\":[", "\"merges\":[" + deep + ","},
      {"\"dropout\":null", "\"dropout\":" + deep},
      {"\"normalized\":false", "\"normalized\":" + deep},
  };
  for (const auto& [shallow, nested] : cases) {
    std::string text = good;
    text.replace(text.find(shallow), shallow.size(), nested);
    EXPECT_NE(error_of(text).find("some.json"), std::string::npos) << shallow;
  }
}

/// Whatever happens to a byte, the outcome is a tokenizer that works or an Error.
TEST(TokenizerJson, SurvivesDamage) {
  const std::string good = small_document().dump();
  std::mt19937 rng(6);
  int errors = 0;
  for (int round = 0; round < 600; ++round) {
    std::string bad = good;
    if (round % 3 == 0) {
      bad.resize(rng() % bad.size());
    } else {
      for (int flips = round % 4; flips >= 0; --flips) bad[rng() % bad.size()] = static_cast<char>(rng());
    }
    try {
      const auto tokenizer = Tokenizer::from_json(bad, "damaged");
      const std::string text = random_bytes(rng, 50);
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 300);
}

TEST(TokenizerJson, LoadNamesTheFile) {
  const TemporaryFile file("bad.json", "{");
  try {
    Tokenizer::load(file.path);
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).rfind(file.path.string() + ": ", 0), 0u) << error.what();
  }
  EXPECT_THROW(Tokenizer::load("/no/such/file.json"), Error);
  EXPECT_THROW(Tokenizer::load(std::filesystem::temp_directory_path()), Error);
}

/// The two files in OpenAI's format, for the vocabulary of a fixture and GPT-2's special token.
struct Gpt2Files {
  static std::string merges_text(const std::string& line_end = "\n") {
    std::string text = "#version: 0.2" + line_end;
    const json document = read_json_fixture("multiscript.tokenizer.json");
    for (const auto& merge : document["model"]["merges"]) {
      text += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + line_end;
    }
    return text;
  }
  static std::string vocab_text() {
    json vocab = read_json_fixture("multiscript.tokenizer.json")["model"]["vocab"];
    vocab["<|endoftext|>"] = vocab.size();
    return vocab.dump();
  }
};

TEST(TokenizerJson, ReadsTheFilesOfGpt2) {
  const TemporaryFile vocab("encoder.json", Gpt2Files::vocab_text());
  for (const char* line_end : {"\n", "\r\n"}) {
    const TemporaryFile merges("vocab.bpe", Gpt2Files::merges_text(line_end));
    const auto tokenizer = Tokenizer::from_gpt2_files(vocab.path, merges.path);
    EXPECT_EQ(tokenizer.special_token("<|endoftext|>"), 1500);
    auto golden = read_json_fixture("multiscript.ids.json").get<std::vector<int32_t>>();
    golden.push_back(1500);
    EXPECT_EQ(tokenizer.encode(read_fixture("multiscript.txt") + "<|endoftext|>"), golden);
  }
}

TEST(TokenizerJson, RefusesBrokenFilesOfGpt2) {
  const TemporaryFile vocab("encoder.json", Gpt2Files::vocab_text());
  const TemporaryFile merges("vocab.bpe", Gpt2Files::merges_text());
  for (const std::string& bad : {Gpt2Files::merges_text() + "a", Gpt2Files::merges_text() + "a Ω\n",
                                 Gpt2Files::merges_text() + " a b\n", Gpt2Files::vocab_text()}) {
    const TemporaryFile bad_merges("bad.bpe", bad);
    EXPECT_THROW(Tokenizer::from_gpt2_files(vocab.path, bad_merges.path), Error) << bad.substr(0, 50);
  }
  const TemporaryFile bad_vocab("bad.json", "{\"a\": 0}");
  EXPECT_THROW(Tokenizer::from_gpt2_files(bad_vocab.path, merges.path), Error);
  EXPECT_THROW(Tokenizer::from_gpt2_files(merges.path, vocab.path), Error);
}

TEST(TokenizerJson, WritesTheFilesOfGpt2) {
  const TemporaryFile vocab("encoder.json", Gpt2Files::vocab_text());
  const TemporaryFile merges("vocab.bpe", Gpt2Files::merges_text());
  const auto tokenizer = Tokenizer::from_gpt2_files(vocab.path, merges.path);
  const Tokenizer::Gpt2Files written = tokenizer.to_gpt2_files();
  EXPECT_EQ(written.merges, Gpt2Files::merges_text());
  EXPECT_EQ(json::parse(written.vocab), json::parse(Gpt2Files::vocab_text()));
}

TEST(TokenizerJson, TakesATemplateOnlyIfItAddsNothing) {
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             token = {{"SpecialToken", {{"id", "<s>"}}}};
  const auto with_template = [&](const json& single) {
    json document = read_json_fixture("multiscript.tokenizer.json");
    document["post_processor"] = {{"type", "TemplateProcessing"}, {"single", single}};
    return Tokenizer::from_json(document.dump(), "test");
  };
  EXPECT_EQ(with_template(json::array({text})).hash(),
            Tokenizer::load(fixture_path("multiscript.tokenizer.json")).hash());
  for (const json& single : {json::array({token, text}), json::array({text, token}), json::array({token}),
                             json::array(), json("A")}) {
    EXPECT_THROW(with_template(single), Error) << single;
  }
}

}  // namespace
}  // namespace hipgpt
