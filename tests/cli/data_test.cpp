// Tests of what train_gpt can train on: files, folders, patterns, the token files of llm.c, a validation
// text, and an existing tokenizer.
#include <cstring>
#include <nlohmann/json.hpp>

#include "cli/program.h"

namespace hipgpt {
namespace {

using Json = nlohmann::json;

class DataCliTest : public CliTest {
 protected:
  DataCliTest() { write_text(); }

  void write_documents(const std::string& folder) const {
    fs::create_directories(path(folder + "/deep"));
    write(folder + "/a.txt", sample_text(400, 1));
    write(folder + "/deep/b.txt", sample_text(500, 2));
    write(folder + "/c.txt", sample_text(300, 3));
  }

  /// Trains on some paths, given after one --data-path or each after its own.
  Result train_on(const Arguments& paths, const Flags& changes = {}, bool one_flag = true) const {
    Flags flags = small(changes);
    flags.erase("--data-path");
    Arguments arguments = to_arguments(flags);
    for (const std::string& path : paths) {
      if (!one_flag || path == paths.front()) arguments.push_back("--data-path");
      arguments.push_back(path);
    }
    return train_gpt(arguments);
  }

  std::map<std::string, std::string> results() const {
    std::map<std::string, std::string> files;
    for (const char* name : {"tokenizer.json", "tokens.bin", "gpt_checkpoint.bin"}) files[name] = read(name);
    return files;
  }

  double val_loss() const {
    return Json::parse(last_line(read("metrics.jsonl"))).at("val_loss").get<double>();
  }

  /// Splits the tokens of tokens.bin at `cuts` into files of llm.c; returns their names.
  Arguments write_shards(const std::vector<size_t>& cuts, const std::string& name = "shard") const {
    const std::string bytes = read("tokens.bin").substr(72);
    Arguments names;
    size_t begin = 0;
    for (size_t i = 0; i <= cuts.size(); ++i) {
      const size_t end = i < cuts.size() ? cuts[i] : bytes.size() / 2;
      names.push_back(name + "_" + std::to_string(i) + ".bin");
      write_shard(names.back(), bytes.substr(2 * begin, 2 * (end - begin)));
      begin = end;
    }
    return names;
  }

  void write_shard(const std::string& name, const std::string& tokens) const {
    int32_t header[256] = {20240520, 1, static_cast<int32_t>(tokens.size() / 2)};
    write(name, std::string(reinterpret_cast<const char*>(header), sizeof header) + tokens);
  }
};

// ---- Many documents

TEST_F(DataCliTest, AFolderAPatternAndAListOfItsFilesAreTheSame) {
  write_documents("texts");
  ASSERT_TRUE(succeeds(train_on({"texts"})));
  const auto expected = results();
  EXPECT_EQ(Json::parse(read("tokenizer.json")).at("added_tokens").at(0).at("content"), "<|endoftext|>");
  for (const bool one_flag : {true, false}) {
    EXPECT_TRUE(succeeds(train_on({"texts/a.txt", "texts/c.txt", "texts/deep/b.txt"}, {}, one_flag)));
    EXPECT_TRUE(same_files(expected, results()));
    EXPECT_TRUE(succeeds(train_on({"texts/[a-c].txt", "texts/d*"}, {}, one_flag)));
    EXPECT_TRUE(same_files(expected, results()));
  }
}

TEST_F(DataCliTest, WhereTheFilesAreMakesNoDifference) {
  write_documents("texts");
  ASSERT_TRUE(succeeds(train_on({"texts"})));
  const auto expected = results();
  const auto written = fs::last_write_time(path("tokens.bin"));
  fs::rename(path("texts"), path("moved"));
  ASSERT_TRUE(succeeds(train_on({path("moved").string()})));
  EXPECT_TRUE(same_files(expected, results()));
  EXPECT_EQ(fs::last_write_time(path("tokens.bin")), written);
}

TEST_F(DataCliTest, TheNumberOfThreadsMakesNoDifference) {
  write_documents("texts");
  ASSERT_TRUE(succeeds(train_on({"texts"})));
  const auto expected = results();
  for (const char* threads : {"2", "5"}) {
    fs::remove(path("tokens.bin"));
    fs::remove(path("tokenizer.json"));
    ASSERT_TRUE(succeeds(train_on({"texts"}, {{"--threads", threads}})));
    EXPECT_TRUE(same_files(expected, results())) << threads;
  }
}

TEST_F(DataCliTest, MovingADocumentBoundaryChangesTheText) {
  write("one.txt", sample_text(500, 1) + "a");
  write("two.txt", sample_text(500, 2));
  ASSERT_TRUE(succeeds(train_on({"one.txt", "two.txt"})));
  const std::string before = read("tokens.bin");
  write("one.txt", sample_text(500, 1));
  write("two.txt", "a" + sample_text(500, 2));
  ASSERT_TRUE(succeeds(train_on({"one.txt", "two.txt"})));
  EXPECT_TRUE(read("tokens.bin") != before);
}

TEST_F(DataCliTest, PathsThatGiveNoTextAreRefused) {
  fs::create_directory(path("texts"));
  write("texts/empty.txt", "");
  fs::create_directory(path("nothing"));
  EXPECT_REFUSED(train_on({"text.txt", "missing*"}), "--data-path missing*: matches no file");
  EXPECT_REFUSED(train_on({"text.txt", "missing.txt"}), "--data-path missing.txt: no such file");
  EXPECT_REFUSED(train_on({"text.txt", "nothing"}), "--data-path nothing: the folder contains no");
  EXPECT_REFUSED(train_on({"texts", "texts/empty.txt"}), "--data-path texts/empty.txt: is empty");
}

TEST_F(DataCliTest, EmptyFilesAreSkippedAndReported) {
  write_documents("texts");
  ASSERT_TRUE(succeeds(train_on({"texts"})));
  const auto expected = results();
  write("texts/0.txt", "");
  write("texts/deep/z.txt", "");
  const Result result = train_on({"texts"});
  EXPECT_TRUE(succeeds(result));
  EXPECT_EQ(result.err, "train_gpt: --data-path texts/0.txt: is empty and skipped (and 1 more such file)\n");
  EXPECT_TRUE(same_files(expected, results()));
}

// ---- Files that are not text

TEST_F(DataCliTest, FilesThatAreNeverTextAreRefused) {
  write_documents("texts");
  write("texts/cat.png", "\x89PNG\r\n\x1A\n and pixels");
  EXPECT_REFUSED(train_on({"texts"}), "--data-path texts/cat.png: is a PNG image, not a text");
  write("text.gz", "\x1F\x8B\x08 and more");
  EXPECT_REFUSED(train_on({"text.gz"}), "--data-path text.gz: is a gzip file, not a text; unpack it");
  EXPECT_REFUSED(train({{"--val-data-path", "text.gz"}}), "--val-data-path text.gz: is a gzip file");
  EXPECT_REFUSED(train_on({"text.gz"}, {{"--tokens", "u16"}}), "--data-path text.gz: is a gzip file");
}

TEST_F(DataCliTest, FilesThatAreHardlyTextAreReadWithAWarning) {
  std::string wide = "\xFF\xFE";
  for (const char c : sample_text(300)) wide += {c, '\0'};
  write("wide.txt", wide);
  const Result result = train_on({"wide.txt"});
  EXPECT_TRUE(succeeds(result));
  EXPECT_EQ(
      result.err,
      "train_gpt: --data-path wide.txt: looks like UTF-16 and is read byte by byte; convert it: iconv -f "
      "UTF-16 -t UTF-8 wide.txt >wide.txt.utf8\n");
}

// ---- Validation

TEST_F(DataCliTest, AValidationTextReplacesTheLastPart) {
  write("other.txt", sample_text(600, 9));
  const Flags flags = {{"--val-data-path", "other.txt"}, {"--eval-batches", "0"}};
  ASSERT_TRUE(succeeds(train(flags)));
  const double loss = val_loss();
  const std::string weights = read("gpt_checkpoint.bin");
  EXPECT_TRUE(exists("val_tokens.bin"));
  // All of the text is used for training now, whatever the fraction.
  Flags all = flags;
  all["--val-fraction"] = "0.5";
  ASSERT_TRUE(succeeds(train(all)));
  EXPECT_TRUE(read("gpt_checkpoint.bin") == weights);
  EXPECT_EQ(val_loss(), loss);
  ASSERT_TRUE(succeeds(train({{"--val-fraction", "0"}})));
  EXPECT_TRUE(read("gpt_checkpoint.bin") == weights);
  // The validation tokens are rebuilt when the text changes.
  write("other.txt", "Quite another quarrel, quickly quelled: " + sample_text(600, 9));
  ASSERT_TRUE(succeeds(train(flags)));
  EXPECT_NE(val_loss(), loss);
}

TEST_F(DataCliTest, AValidationTextThatIsTooShortChangesNothing) {
  write("short.txt", "too short");
  EXPECT_REFUSED(train({{"--val-data-path", "short.txt"}, {"--seq", "16"}}), "--val-data-path");
  EXPECT_REFUSED(train({{"--val-data-path", "missing"}}), "--val-data-path missing");
}

// ---- An existing tokenizer

TEST_F(DataCliTest, AGivenTokenizerBecomesTheRunsTokenizer) {
  ASSERT_TRUE(succeeds(train()));
  fs::rename(path("tokenizer.json"), path("given.json"));
  write("text.txt", sample_text(700, 5));
  ASSERT_TRUE(succeeds(train({{"--tokenizer", "given.json"}})));
  EXPECT_TRUE(read("tokenizer.json") == read("given.json"));
  Flags flags = small({{"--tokenizer", "given.json"}, {"--run-name", "named"}});
  flags.erase("--vocab-size");
  ASSERT_TRUE(succeeds(train_gpt(to_arguments(flags))));
  EXPECT_TRUE(read("checkpoints/named/tokenizer.json") == read("given.json"));
  EXPECT_REFUSED(train({{"--tokenizer", "given.json"}, {"--vocab-size", "301"}}), "--vocab-size 301");
  EXPECT_REFUSED(train({{"--tokenizer", "text.txt"}}), "text.txt");
}

TEST_F(DataCliTest, AVocabularyOfTiktokensBecomesTheRunsTokenizer) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;  // each in base64, and its rank
  for (size_t byte = 0; byte < 256; ++byte) {
    bytes += kDigits[byte >> 2];
    bytes += kDigits[byte << 4 & 63];
    bytes += "== " + std::to_string(byte) + "\n";
  }
  write("my_cl100k.tiktoken", bytes);
  ASSERT_TRUE(succeeds(train({{"--tokenizer", "my_cl100k.tiktoken"}, {"--vocab-size", "256"}})));
  const Json saved = Json::parse(read("tokenizer.json"));
  EXPECT_EQ(saved.at("pre_tokenizer").at("type"), "Sequence");
  EXPECT_EQ(saved.at("model").at("ignore_merges"), true);
  EXPECT_TRUE(succeeds(generate({"--prompt", "ab", "--num-tokens", "2"})));
  write("my.tiktoken", bytes);
  EXPECT_REFUSED(train({{"--tokenizer", "my.tiktoken"}}), "my.tiktoken: is a vocabulary of tiktoken's");
}

TEST_F(DataCliTest, ATemplateIsNotedAndNotUsed) {
  ASSERT_TRUE(succeeds(train()));
  Json given = Json::parse(read("tokenizer.json"));
  given["post_processor"] = Json::parse(
      R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "a"}}, {"Sequence": {"id": "A"}}]})");
  write("given.json", given.dump());
  const auto result = train({{"--tokenizer", "given.json"}});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("its template, which adds tokens to every text, is not used"), std::string::npos)
      << result;
}

TEST_F(DataCliTest, AFolderGivesItsTokenizer) {
  ASSERT_TRUE(succeeds(train()));
  const auto before = results();
  fs::create_directory(path("model"));
  EXPECT_REFUSED(train({{"--tokenizer", "model"}}), "model: has neither a tokenizer.json");
  // The two files of GPT-2 give the same tokenizer.
  const Json model = Json::parse(read("tokenizer.json")).at("model");
  std::string merges = "#version: 0.2\n";
  for (const Json& merge : model.at("merges")) {
    merges += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  }
  write("model/vocab.json", model.at("vocab").dump());
  EXPECT_REFUSED(train({{"--tokenizer", "model"}}), "merges.txt");
  write("model/merges.txt", merges);
  ASSERT_TRUE(succeeds(train({{"--tokenizer", "model"}}, {"--reset"})));
  EXPECT_TRUE(same_files(before, results()));
  fs::copy_file(path("tokenizer.json"), path("model/tokenizer.json"));
  ASSERT_TRUE(succeeds(train({{"--tokenizer", "model"}}, {"--reset"})));
  EXPECT_TRUE(same_files(before, results()));
}

TEST_F(DataCliTest, ATokenizerWithoutEndOfTextTakesOneDocumentOnly) {
  ASSERT_TRUE(succeeds(train()));
  fs::rename(path("tokenizer.json"), path("given.json"));
  write_documents("texts");
  EXPECT_REFUSED(train_on({"texts"}, {{"--tokenizer", "given.json"}}), "given.json: has no <|endoftext|>");
}

// ---- The token files of llm.c

TEST_F(DataCliTest, ShardsTrainLikeTheTextTheyCameFrom) {
  ASSERT_TRUE(succeeds(train()));
  const std::string weights = read("gpt_checkpoint.bin");
  fs::rename(path("tokenizer.json"), path("given.json"));
  const Arguments shards = write_shards({100, 101, 500});
  fs::remove(path("tokens.bin"));
  ASSERT_TRUE(succeeds(train_on(shards, {{"--tokenizer", "given.json"}})));
  EXPECT_TRUE(read("gpt_checkpoint.bin") == weights);
  EXPECT_TRUE(read("tokenizer.json") == read("given.json"));
  EXPECT_FALSE(exists("tokens.bin"));
  ASSERT_TRUE(succeeds(train_on({"shard_?.bin"}, {{"--tokenizer", "given.json"}})));
  EXPECT_TRUE(read("gpt_checkpoint.bin") == weights);
  // Training also resumes from a checkpoint, with the tokenizer next to it.
  EXPECT_TRUE(succeeds(train_on(shards, {{"--ckpt", "gpt_checkpoint.bin"}, {"--steps", "6"}})));
}

TEST_F(DataCliTest, ValidationShardsReplaceTheLastPart) {
  ASSERT_TRUE(succeeds(train({{"--eval-batches", "0"}})));
  const double loss = val_loss();
  const size_t count = (read("tokens.bin").size() - 72) / 2;
  const size_t train_count = count - count / 10;
  const Arguments shards = write_shards({50, train_count});
  ASSERT_TRUE(succeeds(train_on(
      {"shard_0.bin", "shard_1.bin"},
      {{"--val-data-path", "shard_2.bin"}, {"--tokenizer", "tokenizer.json"}, {"--eval-batches", "0"}})));
  EXPECT_EQ(val_loss(), loss);
}

TEST_F(DataCliTest, ShardsThatCannotBeUsedAreRefused) {
  ASSERT_TRUE(succeeds(train()));
  fs::rename(path("tokenizer.json"), path("given.json"));
  write_shards({500});
  const Flags given = {{"--tokenizer", "given.json"}};
  EXPECT_REFUSED(train_on({"shard_0.bin"}), "name the tokenizer that made it with --tokenizer");
  EXPECT_REFUSED(train_on({"shard_0.bin", "text.txt"}, given),
                 "text.txt: is a text, but other files are token files");
  EXPECT_REFUSED(train_on({"text.txt", "shard_0.bin"}, given),
                 "text.txt: is a text, but other files are token files");
  const std::string good = read("shard_0.bin");
  write("shard_0.bin", good.substr(0, good.size() - 1));
  EXPECT_REFUSED(train_on({"shard_?.bin"}, given), "shard_0.bin: looks like a token file of llm.c");
  write("shard_0.bin", good + "xx");
  EXPECT_REFUSED(train_on({"shard_?.bin"}, given), "shard_0.bin: looks like a token file of llm.c");
}

// ---- Ids without a header

TEST_F(DataCliTest, IdsWithoutAHeaderTrainLikeTheTextTheyCameFrom) {
  ASSERT_TRUE(succeeds(train()));
  const std::string weights = read("gpt_checkpoint.bin");
  fs::rename(path("tokenizer.json"), path("given.json"));
  const std::string ids = read("tokens.bin").substr(72);
  write("ids.bin", ids);
  std::string wide;
  for (size_t i = 0; i < ids.size(); i += 2) wide += ids.substr(i, 2) + std::string(2, '\0');
  write("wide.bin", wide);
  for (const auto& [file, type, other] : {std::tuple{"ids.bin", "u16", "u32"}, {"wide.bin", "u32", "u16"}}) {
    Flags flags = {{"--tokenizer", "given.json"}, {"--tokens", type}};
    const Result result = train_on({file}, flags);
    EXPECT_TRUE(succeeds(result));
    EXPECT_EQ(result.err, "");
    EXPECT_TRUE(read("gpt_checkpoint.bin") == weights) << type;
    // The setting is saved with the run.
    EXPECT_TRUE(succeeds(train_gpt({"--resume", "--steps", "6"})));
    // A wrong or missing type gives a warning that names the right one.
    EXPECT_NE(
        train_on({file}).err.find(std::string("token ids without a header and is read as text; to train "
                                              "on the ids, give --tokens ") +
                                  type),
        std::string::npos);
    flags["--tokens"] = other;
    EXPECT_NE(train_on({file}, flags).err.find(std::string("looks like ") + type + " ids"),
              std::string::npos);
  }
}

TEST_F(DataCliTest, IdsThatCannotBeReadAreRefused) {
  ASSERT_TRUE(succeeds(train()));
  fs::rename(path("tokenizer.json"), path("given.json"));
  write_shards({});
  const std::string ids = read("tokens.bin").substr(72);
  write("ids.bin", ids);
  EXPECT_REFUSED(train_on({"ids.bin"}, {{"--tokens", "u16"}}),
                 "name the tokenizer that made it with --tokenizer");
  const Flags given = {{"--tokenizer", "given.json"}, {"--tokens", "u16"}};
  EXPECT_REFUSED(train_on({"shard_0.bin"}, given),
                 "shard_0.bin: has the header of llm.c's token files; drop --tokens");
  write("ids.bin", ids + "x");
  EXPECT_REFUSED(train_on({"ids.bin"}, given), "bytes, which is not a whole number of ids of 2 bytes");
  EXPECT_REFUSED(train_on({"ids.bin"}, {{"--tokens", "u8"}}), "--tokens");
}

TEST_F(DataCliTest, AnIdOutsideTheVocabularyStopsTheRunAndLosesNothing) {
  ASSERT_TRUE(succeeds(train()));
  fs::rename(path("tokenizer.json"), path("given.json"));
  std::string tokens;
  for (int i = 0; i < 40; ++i) tokens += std::string("\x2C\x01", 2);  // id 300, in a vocabulary of 300
  write_shard("bad.bin", tokens);
  const auto before = results();
  EXPECT_TRUE(refuses(train_on({"bad.bin"}, {{"--tokenizer", "given.json"}, {"--val-fraction", "0"}}),
                      "bad.bin: has token 300"));
  EXPECT_TRUE(same_files(before, results()));
}

}  // namespace
}  // namespace hipgpt
