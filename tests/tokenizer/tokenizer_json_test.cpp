#include <gtest/gtest.h>
#include <unistd.h>

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

TEST(TokenizerJson, ASpecialTokenCanBeAdded) {
  Tokenizer::TrainOptions options;
  options.vocab_size = 257;
  const Tokenizer before = Tokenizer::train("ab ab ab", options);
  const Tokenizer after = before.with_special_token("<|endoftext|>");
  EXPECT_EQ(after.vocab_size(), 258);
  EXPECT_EQ(after.special_token("<|endoftext|>"), 257);
  EXPECT_TRUE(after.is_marked_special(257));
  EXPECT_EQ(after.encode("ab<|endoftext|>ab"), (std::vector<int32_t>{256, 257, 256}));
  EXPECT_EQ(Tokenizer::from_json(after.to_json(), "test").hash(), after.hash());

  // A token of words with this text becomes the special one. Others keep their order of ids.
  const Tokenizer marked = after.with_special_token("ab");
  EXPECT_EQ(marked.vocab_size(), 258);
  EXPECT_EQ(marked.special_token("ab"), 256);
  EXPECT_EQ(Tokenizer::from_json(marked.to_json(), "test").hash(), marked.hash());
}

TEST(TokenizerJson, RefusesUnsupportedFeatures) {
  expect_error_with("/normalizer", {{"type", "NFD"}}, "\"normalizer\" is of type NFD, which");
  expect_error_with("/pre_tokenizer", nullptr, "\"pre_tokenizer\" is null, which");
  expect_error_with("/pre_tokenizer", 7, "\"pre_tokenizer\" is of type unknown, which");
  expect_error_with("/pre_tokenizer/type", "Whitespace", "\"pre_tokenizer\" is of type Whitespace, which");
  expect_error_with("/pre_tokenizer/add_prefix_space", true, "add_prefix_space");
  expect_error_with("/pre_tokenizer/use_regex", false, "use_regex");
  expect_error_with("/post_processor", {{"type", "TemplateProcessing"}}, "is of type TemplateProcessing");
  expect_error_with("/decoder", {{"type", "WordPiece"}}, "\"decoder\" is of type WordPiece");
  expect_error_with("/model/type", "Unigram", "BPE");
  expect_error_with("/model/dropout", 0.1, "dropout");
  expect_error_with("/model/continuing_subword_prefix", "##", "continuing_subword_prefix");
  expect_error_with("/model/end_of_word_suffix", "</w>", "end_of_word_suffix");
  expect_error_with("/model/byte_fallback", true, "byte_fallback");
  expect_error_with("/model/ignore_merges", 1, "ignore_merges");
  expect_error_with("/added_tokens/0/single_word", true, "single_word");
  expect_error_with("/added_tokens/0/lstrip", true, "lstrip");
  expect_error_with("/added_tokens/0/rstrip", true, "rstrip");
  expect_error_with("/version", "2.0", "version");
}

TEST(TokenizerJson, ReadsWhatComesToTheSame) {
  const json good = small_document();
  const auto hash = Tokenizer::from_json(good.dump(), "good").hash();
  const json byte_level = good["pre_tokenizer"];
  json without_regex = byte_level;
  without_regex["use_regex"] = false;
  const auto sequence = [](const char* list, const json& steps) {
    return json{{"type", "Sequence"}, {list, steps}};
  };
  const auto split = [](const std::string& regex) {
    return json{
        {"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
  };
  const std::string gpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  const auto expect_same = [&](const char* pointer, const json& value) {
    json document = good;
    document[json::json_pointer(pointer)] = value;
    try {
      EXPECT_EQ(Tokenizer::from_json(document.dump(), pointer).hash(), hash) << pointer << value;
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  };
  expect_same("/truncation", {{"direction", "Right"}, {"max_length", 5}});
  expect_same("/padding", {{"strategy", "BatchLongest"}});
  expect_same("/normalizer", sequence("normalizers", json::array()));
  expect_same("/normalizer", sequence("normalizers", json::array({sequence("normalizers", json::array())})));
  expect_same("/pre_tokenizer", sequence("pretokenizers", json::array({byte_level})));
  expect_same("/pre_tokenizer", sequence("pretokenizers", {split(gpt2), without_regex}));
  expect_same("/post_processor", sequence("processors", json::array({byte_level})));
  expect_same("/decoder", sequence("decoders", json::array({byte_level})));

  const auto expect_splitting_refused = [&](const json& steps, const std::string& about) {
    expect_error_with("/pre_tokenizer", sequence("pretokenizers", steps), about);
  };
  expect_splitting_refused({split(gpt2 + "?"), without_regex}, "of type Split and then ByteLevel");
  expect_splitting_refused({without_regex, split(gpt2)}, "of type ByteLevel and then Split");
  expect_splitting_refused({split(gpt2), byte_level}, "\"use_regex\" should be false");
  expect_splitting_refused(json::array({without_regex}), "\"use_regex\" should be true");
  json inverted = split(gpt2);
  inverted["behavior"] = "Removed";
  expect_splitting_refused({inverted, without_regex}, "pre_tokenizer");
  inverted["invert"] = true;  // removes what lies between the words, which is nothing
  expect_same("/pre_tokenizer", sequence("pretokenizers", {inverted, without_regex}));
  const std::string tiktoken =
      R"('(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s)";
  expect_same("/pre_tokenizer", sequence("pretokenizers", {split(tiktoken), without_regex}));
  expect_error_with("/normalizer", sequence("normalizers", {{{"type", "NFC"}}, {{"type", "Lowercase"}}}),
                    "of type NFC and then Lowercase");
}

/// The ids are those of Hugging Face's library, which finds normalized tokens after the others.
TEST(TokenizerJson, FindsNormalizedTokensAfterTheOthers) {
  json document = read_json_fixture("specials.tokenizer.json");
  const auto before = Tokenizer::from_json(document.dump(), "test");
  for (json& token : document["added_tokens"])
    token["normalized"] = token["content"] == "<|end|><|end|>" || token["content"] == " pad";
  const auto tokenizer = Tokenizer::from_json(document.dump(), "test");
  EXPECT_EQ(tokenizer.encode("<|end|><|end|>"), (std::vector<int32_t>{1, 1}));
  EXPECT_EQ(tokenizer.encode("a<|end|><|end|> pad<|endoftext|> pad"),
            (std::vector<int32_t>{69, 1, 1, 4, 0, 4}));
  EXPECT_EQ(tokenizer.encode(" 日本 pad"), (std::vector<int32_t>{225, 3, 4}));
  EXPECT_NE(tokenizer.hash(), before.hash());
  EXPECT_EQ(Tokenizer::from_json(tokenizer.to_json(), "test").hash(), tokenizer.hash());
}

/// The ids are those of Hugging Face's library after add_tokens(["é", "café"]). "é" spells the byte 0xE9.
TEST(TokenizerJson, ReadsAddedTokensThatSpellBytes) {
  json document = read_json_fixture("specials.tokenizer.json");
  const auto add = [&](int id, const char* text) {
    json token = document["added_tokens"][0];
    token.update({{"id", id}, {"content", text}, {"normalized", true}, {"special", false}});
    document["added_tokens"].push_back(token);
  };
  add(170, "é");
  add(321, "café");
  const auto first = Tokenizer::from_json(document.dump(), "test");
  for (const auto& tokenizer : {first, Tokenizer::from_json(first.to_json(), "test")}) {
    EXPECT_EQ(tokenizer.encode("xé café"), (std::vector<int32_t>{92, 170, 225, 321}));
    EXPECT_EQ(tokenizer.encode("頂"), (std::vector<int32_t>{170, 259, 229}));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode("頂café")), "頂café");
  }
}

TEST(TokenizerJson, KeepsThePropertiesOfAddedTokens) {
  json document = small_document();
  document["added_tokens"][0]["special"] = false;
  document["added_tokens"][0]["normalized"] = true;
  const json written = json::parse(Tokenizer::from_json(document.dump(), "test").to_json());
  EXPECT_EQ(written["added_tokens"], document["added_tokens"]);
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
  expect_error_with("/added_tokens/0/content", "Ġa", "same id");
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
  const Tokenizer::Gpt2Files written = tokenizer.to_gpt2_files().value();
  EXPECT_EQ(written.merges, Gpt2Files::merges_text());
  EXPECT_EQ(json::parse(written.vocab), json::parse(Gpt2Files::vocab_text()));
}

/// A folder with the two files of GPT-2 and the files that hold what was added to them.
class Gpt2FolderTest : public testing::Test {
 protected:
  Gpt2FolderTest() {
    std::filesystem::create_directories(folder_);
    write("vocab.json", Gpt2Files::vocab_text());
    write("merges.txt", Gpt2Files::merges_text());
  }
  ~Gpt2FolderTest() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  json added_tokens() const { return json::parse(Tokenizer::load(folder_).to_json())["added_tokens"]; }
  static json added(int id, const char* text, bool special, bool normalized) {
    return {{"id", id},        {"content", text},          {"single_word", false}, {"lstrip", false},
            {"rstrip", false}, {"normalized", normalized}, {"special", special}};
  }
  void expect_refused(const std::string& name, const std::string& text, const std::string& words) const {
    write(name, text);
    try {
      Tokenizer::load(folder_);
      ADD_FAILURE() << "accepted " << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("hipgpt_gpt2_folder_" + std::to_string(getpid()));
};

TEST_F(Gpt2FolderTest, ReadsTheIdsOfAddedTokens) {
  write("added_tokens.json", R"({"[PAD]": 1501, "<|user|>": 1502})");
  const json end = added(1500, "<|endoftext|>", true, false);
  EXPECT_EQ(added_tokens(),
            json({end, added(1501, "[PAD]", false, true), added(1502, "<|user|>", false, true)}));
  EXPECT_EQ(Tokenizer::load(folder_).encode("<|user|>[PAD]"), (std::vector<int32_t>{1502, 1501}));
  // Tokens with a role are special, as transformers reads them.
  write("special_tokens_map.json", R"({"pad_token": "[PAD]"})");
  EXPECT_EQ(added_tokens()[1], added(1501, "[PAD]", true, false));
  write("tokenizer_config.json", R"({"additional_special_tokens": [{"content": "<|user|>"}]})");
  EXPECT_EQ(added_tokens()[2], added(1502, "<|user|>", true, false));

  expect_refused("added_tokens.json", R"({"<|user|>": 1502})", "1502");
  expect_refused("added_tokens.json", R"({"<|user|>": "x"})", "added_tokens.json: the id");
  expect_refused("added_tokens.json", R"({"<|endoftext|>": 1501})", "id 1500 in the vocabulary");
  expect_refused("added_tokens.json", "[]", "added_tokens.json: is not a JSON object");
}

TEST_F(Gpt2FolderTest, TheClassOfQwen2SplitsAndNormalizes) {
  EXPECT_EQ(Tokenizer::load(folder_).decode(Tokenizer::load(folder_).encode("e\u0301")), "e\u0301");
  write("tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer"})");
  const auto tokenizer = Tokenizer::load(folder_);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("e\u0301")), "\u00E9");
  EXPECT_FALSE(tokenizer.to_gpt2_files());
}

TEST_F(Gpt2FolderTest, ReadsThePropertiesOfAddedTokens) {
  const auto decoder = [](const json& token) {
    return json{{"added_tokens_decoder", {{"1501", token}}}}.dump();
  };
  json user = added(1501, "<|user|>", false, true);
  user.erase("id");
  write("added_tokens.json", R"({"[PAD]": 1501})");  // transformers reads either file, not both
  write("tokenizer_config.json", decoder(user));
  EXPECT_EQ(added_tokens(),
            json({added(1500, "<|endoftext|>", true, false), added(1501, "<|user|>", false, true)}));
  user["lstrip"] = true;
  expect_refused("tokenizer_config.json", decoder(user), "lstrip");
  expect_refused("tokenizer_config.json", R"({"added_tokens_decoder": []})", "added_tokens_decoder");
  expect_refused("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})", "the id");
}

/// Templates that add tokens are noticed and not applied.
TEST(TokenizerJson, ReadsTemplates) {
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             token = {{"SpecialToken", {{"id", "<s>"}}}};
  const auto with_template = [&](const json& single) {
    json document = read_json_fixture("multiscript.tokenizer.json");
    document["post_processor"] = {{"type", "TemplateProcessing"}, {"single", single}};
    return Tokenizer::from_json(document.dump(), "test");
  };
  const auto none = Tokenizer::load(fixture_path("multiscript.tokenizer.json"));
  EXPECT_FALSE(none.has_template());
  EXPECT_FALSE(with_template(json::array({text})).has_template());
  for (const json& single : {json::array({token, text}), json::array({text, token})}) {
    const auto tokenizer = with_template(single);
    EXPECT_TRUE(tokenizer.has_template()) << single;
    EXPECT_EQ(tokenizer.hash(), none.hash());
    EXPECT_FALSE(Tokenizer::from_json(tokenizer.to_json(), "saved").has_template());
  }
  for (const json& single :
       {json::array({token}), json::array({text, text}), json::array({text, 1}), json::array(), json("A")}) {
    EXPECT_THROW(with_template(single), Error) << single;
  }
}

}  // namespace
}  // namespace hipgpt
