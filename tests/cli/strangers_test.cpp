// Tests of folders from strangers: files with correct checksums but false contents, and flags that a file
// tries to set. Also links and pipes in place of files, and characters that a terminal would obey.
#include <sys/stat.h>

#include <cstring>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cli/checkpoint_editor.h"
#include "cli/program.h"
#include "cli/terminal.h"

namespace hipgpt {
namespace {

class StrangersCliTest : public CliTest {
 protected:
  StrangersCliTest() {
    write_text();
    if (!succeeds(train())) throw std::runtime_error("cannot train");
  }

  /// Replaces the flags that the run saved in its optimizer file.
  void save_flags(const nlohmann::json& flags) const {
    EditableCheckpoint optimizer(path("gpt_checkpoint.optimizer.bin"));
    optimizer.metadata["flags"] = flags.dump();
    optimizer.save(path("gpt_checkpoint.optimizer.bin"));
  }
  nlohmann::json saved_flags() const {
    return nlohmann::json::parse(
        EditableCheckpoint(path("gpt_checkpoint.optimizer.bin")).metadata.at("flags"));
  }

  /// Makes the folder of a run that recorded these flags and has no checkpoint yet.
  void record_flags(const nlohmann::json& flags) const {
    for (const char* name : {"", ".optimizer", ".previous", ".previous.optimizer"})
      fs::remove(path(std::string("gpt_checkpoint") + name + ".bin"));
    write("metrics.jsonl", nlohmann::json({{"run", {{"flags", flags}}}}).dump() + "\n");
  }

  Result resume(const Arguments& more = {}) const {
    Arguments arguments = {"--resume", "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return train_gpt(arguments);
  }
};

// ---- Tokens

/// Returns a tokens.bin with other ids, a vocabulary of 65536 and correct checksums (src/data/details.md).
std::string with_ids(std::string file, uint16_t id) {
  constexpr size_t kVocabAt = 24, kTokenChecksumAt = 56, kHeaderChecksumAt = 64, kHeader = 72;
  const auto put = [&](size_t at, uint64_t value) { std::memcpy(file.data() + at, &value, sizeof(value)); };
  put(kVocabAt, 65536);
  for (size_t at = kHeader; at + 1 < file.size(); at += 10) std::memcpy(file.data() + at, &id, sizeof(id));
  put(kTokenChecksumAt, XXH3_64bits(file.data() + kHeader, file.size() - kHeader));
  put(kHeaderChecksumAt, XXH3_64bits(file.data(), kHeaderChecksumAt));
  return file;
}

TEST_F(StrangersCliTest, TokensOfALargerVocabularyAreRebuilt) {
  const std::string good = read("tokens.bin"), trained = read("gpt_checkpoint.bin");
  for (const uint16_t id : {300, 305, 700, 1500, 65535}) {
    write("tokens.bin", with_ids(good, id));
    ASSERT_TRUE(succeeds(train())) << id;
    EXPECT_EQ(read("tokens.bin"), good) << id;
    EXPECT_EQ(read("gpt_checkpoint.bin"), trained) << id;
  }
  write("tokens.bin", with_ids(good, 65535));
  ASSERT_TRUE(succeeds(resume({"--steps", "6"})));
  EXPECT_EQ(read("tokens.bin"), good);
}

TEST_F(StrangersCliTest, ACheckpointWithFewerRowsThanItsTokenizerHasTokensIsRefused) {
  EditableCheckpoint checkpoint(path("gpt_checkpoint.bin"));
  checkpoint.metadata["vocab_size"] = "290";
  for (auto& part : checkpoint.parts) {
    if (part.shape.front() != 300) continue;
    part.bytes.resize(part.bytes.size() / 300 * 290);
    part.shape.front() = 290;
  }
  checkpoint.save(path("gpt_checkpoint.bin"));
  EXPECT_REFUSED(generate({"--prompt", "the king"}), "a vocabulary of 290 tokens");
  EXPECT_REFUSED(train({{"--ckpt", "gpt_checkpoint.bin"}, {"--steps", "6"}}), "a vocabulary of 290 tokens");
}

// ---- Saved flags

TEST_F(StrangersCliTest, AFileNeitherWritesElsewhereNorNamesOtherFilesOfFlags) {
  write("evil.cfg", "lr = 1\n");
  nlohmann::json flags = saved_flags();
  flags.update({{"tensorboard", {path("tb").string()}},
                {"run-name", {"other"}},
                {"config", {path("evil.cfg").string()}},
                {"help", {"true"}},
                {"version", nlohmann::json::array()},
                {"list-devices", {"true"}},
                {"reset", {"true"}},
                {"ckpt", {"text.txt"}},
                {"threads", {"4096"}},
                {"text.txt", nlohmann::json::array()},
                {"", {""}},
                {"-", {"-"}},
                {"lr", nlohmann::json::array()},
                {"dim=8 --lr", {"1"}}});
  save_flags(flags);
  const Result resumed = resume({"--steps", "6"});
  ASSERT_TRUE(succeeds(resumed));
  EXPECT_NE(resumed.out.find("after step 4"), std::string::npos) << resumed;
  const size_t refused = resumed.out.find("not taken from gpt_checkpoint.optimizer.bin: --=");
  ASSERT_NE(refused, std::string::npos) << resumed;
  EXPECT_NE(resumed.out.find("--run-name=other", refused), std::string::npos) << resumed;
  EXPECT_EQ(resumed.err, "");
  EXPECT_FALSE(exists("tb") || exists("checkpoints"));
  EXPECT_FALSE(saved_flags().contains("help"));

  record_flags({{"steps", {"3"}},
                {"data-path", {"text.txt"}},
                {"tensorboard", {path("tb").string()}},
                {"help", {"true"}},
                {"run-name", {"other"}},
                {"vocab-size", {"300"}},
                {"dim", {"16"}}});
  const Result begun = resume();
  ASSERT_TRUE(succeeds(begun));
  EXPECT_NE(begun.out.find("3 steps"), std::string::npos) << begun;
  EXPECT_FALSE(exists("tb") || exists("checkpoints"));
}

TEST_F(StrangersCliTest, SavedSettingsHaveTheRangesOfFlags) {
  const nlohmann::json flags = saved_flags();
  const std::pair<const char*, const char*> outside[] = {
      {"dropout", "7"}, {"dim", "1e3"},         {"steps", "99999999999"}, {"grad-clip", "nan"},
      {"seed", "x"},    {"activation", "tanh"}, {"keep-last", "0"},       {"data-path", ""}};
  for (const auto& [name, value] : outside) {
    nlohmann::json changed = flags;
    changed[name] = nlohmann::json::array({value});
    save_flags(changed);
    EXPECT_REFUSED(resume(), name);
  }
}

TEST_F(StrangersCliTest, DataPathsAreShownBeforeTheyAreReadAndMustBeFiles) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  for (const char* name : {"pipe", "/dev/zero"}) {
    record_flags({{"data-path", {name}}});
    const Result result = resume();
    EXPECT_TRUE(refuses(result, "is a pipe or a device"));
    EXPECT_NE(result.out.find(std::string("--data-path=") + name), std::string::npos) << result;
    record_flags({{"data-path", {"text.txt"}}, {"tokenizer", {name}}});
    EXPECT_TRUE(refuses(resume(), "is a pipe or a device"));
  }
}

TEST_F(StrangersCliTest, AModelToStartFromMustBeNamedAgain) {
  record_flags({{"data-path", {"text.txt"}}, {"init-from", {"/some/model"}}});
  EXPECT_REFUSED(resume(), "--init-from=/some/model");
}

TEST_F(StrangersCliTest, FlagsSavedAsAListAreReadToo) {
  save_flags({"--steps=6", "--data-path=text.txt", "--help", "--", "--lr", "--tensorboard=tb"});
  const Result resumed = resume();
  ASSERT_TRUE(succeeds(resumed));
  EXPECT_NE(resumed.out.find("as before: --data-path=text.txt --steps=6\n"), std::string::npos) << resumed;
  EXPECT_FALSE(exists("tb"));
}

// ---- Records

TEST_F(StrangersCliTest, DeepOrAbsurdRecordsAreLeftOut) {
  const std::string good = read("metrics.jsonl");
  std::string bad = std::string(100'000, '[') + "\n{\"run\":" + std::string(100'000, '[') + "\n";
  for (const char* record : {R"({"step":-1,"loss":1})", R"({"step":18446744073709551615,"loss":1})",
                             R"({"step":4000000000000,"loss":1})", R"({"step":2,"elapsed_s":-1e300})",
                             R"({"step":2,"tokens_per_s":1e300,"loss":1})", R"({"step":2,"loss":-5})"}) {
    bad += std::string(record) + "\n";
  }
  write("metrics.jsonl", bad + good);
  const Result result = resume({"--steps", "6"});
  ASSERT_TRUE(succeeds(result));
  EXPECT_EQ(result.err,
            "train_gpt: metrics.jsonl: 6 of its records have numbers that no run writes; ignoring them\n");
  EXPECT_NE(read("report.md").find("| steps | 6 |"), std::string::npos) << read("report.md");

  record_flags(nlohmann::json::object());
  write("metrics.jsonl", bad);
  EXPECT_TRUE(refuses(resume(), "--data-path"));
}

TEST_F(StrangersCliTest, ADescriptionWithAbsurdNumbersGivesAReport) {
  const auto huge = 9007199254740992;
  write("metrics.jsonl", nlohmann::json({{"run",
                                          {{"batch", huge},
                                           {"grad_accum", huge},
                                           {"seq", huge},
                                           {"steps", -5},
                                           {"train_tokens", 1},
                                           {"vocab_size", 18446744073709551615u},
                                           {"layers", std::numeric_limits<int64_t>::min()}}}})
                                 .dump() +
                             "\n" + R"({"step":4,"loss":1.5})" + "\n");
  ASSERT_TRUE(succeeds(resume({"--steps", "6"})));
}

// ---- Links, pipes

TEST_F(StrangersCliTest, NothingIsWrittenThroughALinkOutOfTheFolder) {
  const fs::path victim = root_ / "victim";
  for (const char* name : {"metrics.jsonl", "tokens.bin", "tokenizer.json", "gpt_checkpoint.bin"}) {
    write_file(victim, "precious");
    const auto before = snapshot();
    fs::remove(path(name));
    fs::create_symlink("../victim", path(name));
    EXPECT_TRUE(refuses(train({{"--vocab-size", "301"}}), name)) << name;
    EXPECT_EQ(read_file(victim), "precious") << name;
    fs::remove(path(name));
    write(name, before.at(name));
  }
  // Files that only describe a run do not end it.
  for (const char* name : {"report.md", "loss.svg"}) {
    const std::string ours = read(name);
    write_file(victim, ours);
    fs::remove(path(name));
    fs::create_symlink("../victim", path(name));
    const Result result = train({{"--seed", "5"}});
    ASSERT_TRUE(succeeds(result));
    EXPECT_NE(result.err.find("is a symbolic link out of its folder"), std::string::npos) << result;
    EXPECT_EQ(read_file(victim), ours);
    fs::remove(path(name));
    write(name, ours);
  }
}

TEST_F(StrangersCliTest, APipeInPlaceOfAFileIsRefusedWithoutWaiting) {
  const auto replace = [&](const std::string& name) {
    fs::remove(path(name));
    ASSERT_EQ(::mkfifo(path(name).c_str(), 0600), 0);
  };
  for (const char* name : {"metrics.jsonl", "known_files.json", "tokenizer.json"}) {
    const std::string good = exists(name) ? read(name) : "";
    replace(name);
    EXPECT_TRUE(refuses(train(), "is a pipe or a device")) << name;
    fs::remove(path(name));
    if (!good.empty()) write(name, good);
  }
  replace("report.md");
  const Result result = train();
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.err.find("report.md: is a pipe or a device"), std::string::npos) << result;
  replace("gpt_checkpoint.bin");
  EXPECT_TRUE(refuses(generate({"--prompt", "the king"}), "is a pipe or a device"));
  EXPECT_TRUE(refuses(train(), "is a pipe or a device"));
}

TEST_F(StrangersCliTest, ALoopOfLinksIsReportedInOurWords) {
  const char* words = "links form a loop";
  const std::string tokenizer = read("tokenizer.json");
  fs::create_symlink("loop", path("loop"));
  EXPECT_REFUSED(train({{"--data-path", "loop"}}), words);
  EXPECT_REFUSED(train({{"--tokenizer", "loop"}}), words);
  EXPECT_REFUSED(train({{"--init-from", "loop"}}), words);
  EXPECT_REFUSED(train({{"--ckpt", "loop"}}), words);
  EXPECT_REFUSED(generate({"--ckpt", "loop", "--prompt", "a"}), words);
  EXPECT_REFUSED(generate({"--tokenizer", "loop", "--prompt", "a"}), words);
  EXPECT_REFUSED(generate({"--prompt-file", "loop"}), words);
  EXPECT_REFUSED(generate({"--perplexity", "loop"}), words);
  for (const char* name : {"tokenizer.json", "tokens.bin", "metrics.jsonl", "known_files.json"}) {
    const std::string good = exists(name) ? read(name) : "";
    fs::remove(path(name));
    fs::create_symlink(name, path(name));
    EXPECT_REFUSED(train({{"--steps", "5"}}), words);
    fs::remove(path(name));
    if (!good.empty()) write(name, good);
  }
}

// ---- The folder as the data

TEST_F(StrangersCliTest, TheWorkingFolderAsTheTextSkipsWhatTrainingWrote) {
  fs::create_directory(path("texts"));
  write("texts/more.txt", sample_text(200, 7));
  const Flags here = {{"--data-path", "."}, {"--tensorboard", "tb"}};
  ASSERT_TRUE(succeeds(train(here, {"--reset"})));
  const std::string tokens = read("tokens.bin");
  ASSERT_TRUE(succeeds(train({{"--data-path", "."}, {"--run-name", "named"}})));
  const Result again = train(here);
  ASSERT_TRUE(succeeds(again));
  EXPECT_NE(again.out.find("(kept;"), std::string::npos) << again;
  EXPECT_EQ(read("tokens.bin"), tokens);
  EXPECT_TRUE(succeeds(resume({"--steps", "6"})));
  const std::string text = read("text.txt") + "<|endoftext|>" + read("texts/more.txt");
  EXPECT_EQ(read("checkpoints/named/tokens.bin").substr(72), tokens.substr(72));
  fs::remove(path("text.txt"));
  fs::remove_all(path("texts"));
  EXPECT_TRUE(refuses(train(here), "the folder contains no usable file"));
}

// ---- Terminals

TEST_F(StrangersCliTest, ATerminalIsNotSentControlSequences) {
  const std::string name =
      "a\x1b[2Jb\xC2\x9B"
      "c\xE2\x80\xAE"
      "d\a";
  const std::string shown = "a\uFFFD[2Jb\uFFFDc\uFFFDd\uFFFD";
  Arguments arguments = to_arguments(small({{"--run-name", name}}));
  {
    Terminal terminal(folder_, HIPGPT_TRAIN_GPT, arguments);
    if (!terminal.there()) GTEST_SKIP() << "no terminals here";
    const std::string said = terminal.rest();
    EXPECT_NE(said.find(shown), std::string::npos) << said;
    EXPECT_EQ(said.find("\x1b[2J"), std::string::npos);
    EXPECT_EQ(said.find("\xC2\x9B"), std::string::npos);
    EXPECT_EQ(said.find("\xE2\x80\xAE"), std::string::npos);
  }
  const Result piped = train_gpt(arguments);
  EXPECT_NE(piped.out.find(name), std::string::npos) << piped;  // a pipe gets the bytes unchanged

  Terminal continued(folder_, HIPGPT_GENERATE, {"--prompt", "\x1b]0;title\a the king", "--num-tokens", "3"});
  EXPECT_NE(continued.rest().find("\uFFFD]0;title\uFFFD the king"), std::string::npos);
  Terminal refused(folder_, HIPGPT_GENERATE, {"--ckpt", "\x1b[31m\xC2\x85", "--prompt", "a"});
  const std::string line = refused.rest();
  EXPECT_EQ(line.find('\x1b'), std::string::npos) << line;
  EXPECT_EQ(line.find("\xC2\x85"), std::string::npos) << line;
}

}  // namespace
}  // namespace hipgpt
