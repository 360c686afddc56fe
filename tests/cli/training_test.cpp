// Runs train_gpt as a user does: checks what it writes, what it prints, and that equal runs give equal bytes.
#include <nlohmann/json.hpp>
#include <set>

#include "cli/checkpoint_editor.h"
#include "cli/program.h"

namespace hipgpt {
namespace {

using Json = nlohmann::json;
using Strings = std::set<std::string>;

class TrainingCliTest : public CliTest {
 protected:
  TrainingCliTest() { write_text(); }

  /// Returns every line of a metrics file.
  std::vector<Json> metrics(const std::string& name) const {
    std::vector<Json> records;
    for (const std::string& line : lines_of(read(name))) records.push_back(Json::parse(line));
    return records;
  }

  /// Returns the checkpoint that a run from scratch with these flags leaves.
  std::string checkpoint_of(const Flags& changes, const Arguments& more = {"--reset"}) const {
    fs::remove(path("gpt_checkpoint.bin"));
    EXPECT_TRUE(succeeds(train(changes, more)));
    return read("gpt_checkpoint.bin");
  }

  Strings names_in(const std::string& folder) const {
    Strings names;
    for (const auto& entry : fs::directory_iterator(path(folder))) names.insert(entry.path().filename());
    return names;
  }
};

Strings keys_of(const Json& object) {
  Strings keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

// ---- What is written

TEST_F(TrainingCliTest, WritesItsArtifactsIntoTheWorkingFolderAndNothingElse) {
  ASSERT_TRUE(succeeds(train()));
  const Strings expected = {
      "text.txt",      "tokenizer.json", "tokens.bin", "gpt_checkpoint.bin", "gpt_checkpoint.optimizer.bin",
      "metrics.jsonl", "report.md",      "loss.svg"};
  EXPECT_EQ(names_in("."), expected);
}

TEST_F(TrainingCliTest, ANamedRunKeepsItsNewestCheckpointsAndLinksToTheLatest) {
  ASSERT_TRUE(succeeds(
      train({{"--run-name", "first"}, {"--steps", "7"}, {"--ckpt-every", "2"}, {"--keep-last", "3"}})));
  const Strings expected = {"tokenizer.json", "tokens.bin",           "metrics.jsonl", "latest.bin",
                            "step_4.bin",     "step_4.optimizer.bin", "step_6.bin",    "step_6.optimizer.bin",
                            "step_7.bin",     "step_7.optimizer.bin", "report.md",     "loss.svg"};
  EXPECT_EQ(names_in("checkpoints/first"), expected);
  EXPECT_EQ(names_in("."), (Strings{"text.txt", "checkpoints"}));
  EXPECT_EQ(fs::read_symlink(path("checkpoints/first/latest.bin")), "step_7.bin");
}

TEST_F(TrainingCliTest, RunsOfTwoNamesLeaveEachOtherAlone) {
  ASSERT_TRUE(succeeds(train({{"--run-name", "first"}})));
  const std::string first = read("checkpoints/first/step_4.bin");
  ASSERT_FALSE(first.empty());
  ASSERT_TRUE(succeeds(train({{"--run-name", "second run"}, {"--seed", "2"}, {"--vocab-size", "290"}})));
  EXPECT_TRUE(read("checkpoints/first/step_4.bin") == first);
  EXPECT_TRUE(succeeds(generate({"--prompt", "the", "--run-name", "first"})));
  EXPECT_TRUE(succeeds(generate({"--prompt", "the", "--run-name", "second run"})));
}

TEST_F(TrainingCliTest, MetricsAreOneRecordPerLine) {
  ASSERT_TRUE(succeeds(train({{"--steps", "6"}, {"--log-every", "2"}, {"--eval-every", "3"}})));
  const auto records = metrics("metrics.jsonl");
  ASSERT_EQ(keys_of(records.at(0)), Strings{"run"});
  std::vector<int> steps, validations;
  double elapsed = 0.0;
  for (size_t i = 1; i < records.size(); ++i) {
    const Json& record = records[i];
    for (const auto& [key, value] : record.items()) EXPECT_TRUE(value.is_number()) << record;
    EXPECT_GE(record.at("elapsed_s"), elapsed);
    elapsed = record.at("elapsed_s");
    if (record.contains("val_loss")) {
      EXPECT_EQ(keys_of(record), (Strings{"step", "val_loss", "elapsed_s"}));
      validations.push_back(record.at("step"));
    } else {
      EXPECT_EQ(keys_of(record), (Strings{"step", "loss", "lr", "grad_norm", "tokens_per_s", "elapsed_s"}));
      steps.push_back(record.at("step"));
    }
  }
  EXPECT_EQ(steps, (std::vector<int>{1, 2, 4, 6}));
  EXPECT_EQ(validations, (std::vector<int>{3, 6}));
}

TEST_F(TrainingCliTest, NoValidationIfNoTextIsReservedForIt) {
  ASSERT_TRUE(succeeds(train({{"--val-fraction", "0"}})));
  EXPECT_EQ(metrics("metrics.jsonl").size(), 3u);
  EXPECT_EQ(read("metrics.jsonl").find("val_loss"), std::string::npos);
}

// ---- What is printed

TEST_F(TrainingCliTest, PrintsTheParameterCountFirstAndPlainLinesInAPipe) {
  const Result result = train({{"--layers", "2"}});
  ASSERT_TRUE(succeeds(result));
  // V E + S E + L (4E^2 + 2EF + F + 9E) + E V + V at V=300 S=8 E=16 L=2 F=16.
  EXPECT_NE(result.out.find("13,420 parameters (by the formula, and counted)"), std::string::npos)
      << result.out;
  EXPECT_NE(
      result.out.find("\nmemory     1 MiB: 1 MiB for weights, 1 MiB for gradients and AdamW, 1 MiB for "),
      std::string::npos)
      << result.out;
  EXPECT_EQ(result.out.find_first_of("\r\x1b\t"), std::string::npos);
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(result.out.ends_with('\n'));
}

TEST_F(TrainingCliTest, APresetGivesTheArchitectureAndFlagsChangeItsSizes) {
  const Result result = train({{"--preset", "gpt2"}});
  ASSERT_TRUE(succeeds(result));
  // The formula is as above with one layer, without head and bias, and with 2E for the final LayerNorm.
  EXPECT_NE(result.out.find("6,656 parameters"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("gelu"), std::string::npos) << result.out;
  EXPECT_TRUE(succeeds(generate({"--prompt", "the king"})));
}

TEST_F(TrainingCliTest, LossFallsOnARepetitiveText) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "over and over ";
  write("text.txt", text);
  ASSERT_TRUE(succeeds(
      train({{"--steps", "300"}, {"--lr", "0.01"}, {"--warmup-steps", "10"}, {"--vocab-size", "260"}})));
  const auto records = metrics("metrics.jsonl");
  const double first = records.at(1).at("loss"), validation = records.back().at("val_loss");
  EXPECT_GT(first, 5.0);
  EXPECT_LT(validation, 0.5);
}

// ---- The same bytes

TEST_F(TrainingCliTest, TheSameSeedGivesTheSameCheckpointOnAnyNumberOfThreads) {
  const Flags flags = {{"--dropout", "0.1"}, {"--grad-accum", "2"}};
  const auto with = [&](Flags more) {
    more.insert(flags.begin(), flags.end());
    return checkpoint_of(more);
  };
  const std::string one = with({{"--threads", "1"}});
  EXPECT_TRUE(one == with({{"--threads", "1"}}));
  EXPECT_TRUE(one == with({{"--threads", "2"}}));
  EXPECT_TRUE(one == with({{"--threads", "3"}}));
  EXPECT_TRUE(one != with({{"--seed", "1338"}}));
}

TEST_F(TrainingCliTest, EveryFlagThatChangesTheMathMatters) {
  const std::string plain = checkpoint_of({});
  const Flags changes = {{"--dropout", "0.2"},      {"--grad-accum", "3"},        {"--activation", "gelu"},
                         {"--batch", "5"},          {"--weight-decay", "10"},     {"--lr", "0.1"},
                         {"--beta1", "0.5"},        {"--beta2", "0.5"},           {"--warmup-steps", "2"},
                         {"--heads", "4"},          {"--head-bias", "false"},     {"--tied-head", "true"},
                         {"--val-fraction", "0.5"}, {"--final-layernorm", "true"}};
  for (const auto& [flag, value] : changes) EXPECT_TRUE(checkpoint_of({{flag, value}}) != plain) << flag;
  EXPECT_TRUE(checkpoint_of({{"--warmup-steps", "1"}, {"--min-lr", "1e-5"}}) !=
              checkpoint_of({{"--warmup-steps", "1"}}));
  // Logging, evaluating and recomputing change nothing.
  EXPECT_TRUE(checkpoint_of({{"--log-every", "1"}, {"--eval-every", "1"}}) == plain);
  EXPECT_TRUE(checkpoint_of({{"--layers", "3"}}) ==
              checkpoint_of({{"--layers", "3"}}, {"--reset", "--recompute"}));
}

TEST_F(TrainingCliTest, ResumesFromACheckpointAsIfItHadNotStopped) {
  const Flags flags = {{"--run-name", "a"},
                       {"--steps", "6"},
                       {"--ckpt-every", "3"},
                       {"--dropout", "0.1"},
                       {"--grad-accum", "2"}};
  ASSERT_TRUE(succeeds(train(flags)));
  const auto straight = snapshot();
  for (const char* threads : {"1", "2"}) {
    for (const char* name : {"step_6.bin", "step_6.optimizer.bin"}) fs::remove(path("checkpoints/a") / name);
    Flags resumed = flags;
    resumed["--ckpt"] = "checkpoints/a/step_3.bin";
    resumed["--threads"] = threads;
    ASSERT_TRUE(succeeds(train(resumed)));
    EXPECT_TRUE(read("checkpoints/a/step_6.bin") == straight.at("checkpoints/a/step_6.bin"));
    EXPECT_TRUE(read("checkpoints/a/step_6.optimizer.bin") ==
                straight.at("checkpoints/a/step_6.optimizer.bin"));
  }
}

TEST_F(TrainingCliTest, ResumesInTheWorkingFolderAndAppendsItsMetrics) {
  // Within the warm-up the learning rate does not depend on --steps, so 4 and 2 more are 6.
  const std::string straight = checkpoint_of({{"--steps", "6"}});
  ASSERT_TRUE(succeeds(train({{"--steps", "4"}})));
  const std::string metrics_before = read("metrics.jsonl");
  // The sizes need not be repeated, because the checkpoint has them.
  ASSERT_TRUE(succeeds(train_gpt(
      {"--data-path", "text.txt", "--ckpt", "gpt_checkpoint.bin", "--batch", "4", "--steps", "6"})));
  EXPECT_TRUE(read("gpt_checkpoint.bin") == straight);
  EXPECT_TRUE(read("metrics.jsonl").starts_with(metrics_before));
  EXPECT_EQ(metrics("metrics.jsonl").back().at("step"), 6);
}

TEST_F(TrainingCliTest, AMissingOptimizerFileIsReportedAndTheWeightsAreUsed) {
  ASSERT_TRUE(succeeds(train()));
  fs::remove(path("gpt_checkpoint.optimizer.bin"));
  const Result result = train({{"--ckpt", "gpt_checkpoint.bin"}});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("gpt_checkpoint.optimizer.bin"), std::string::npos) << result.out;
}

TEST_F(TrainingCliTest, AMissingOptimizerFileDoesNotLoseTheCheckpointsOfARun) {
  const Flags flags = {{"--run-name", "a"}, {"--steps", "6"}, {"--ckpt-every", "2"}};
  ASSERT_TRUE(succeeds(train(flags)));
  const std::string trained = read("checkpoints/a/step_6.bin");
  fs::remove(path("checkpoints/a/step_6.optimizer.bin"));
  train({{"--run-name", "a"},
         {"--steps", "3"},
         {"--ckpt", "checkpoints/a/step_6.bin"}});  // a refusal is fine too
  EXPECT_TRUE(exists("checkpoints/a/step_6.bin"));
  EXPECT_TRUE(read("checkpoints/a/step_6.bin") == trained);
}

// ---- The best checkpoint

/// A run whose validation loss soon rises, because its learning rate is far too high.
Flags too_fast(Flags more = {}) {
  more.merge(Flags{{"--steps", "40"}, {"--lr", "0.5"}, {"--warmup-steps", "30"}, {"--eval-every", "2"}});
  return more;
}

TEST_F(TrainingCliTest, KeepsTheCheckpointOfTheLowestValidationLoss) {
  for (const bool named : {false, true}) {
    Flags flags = too_fast();
    if (named) flags["--run-name"] = "a";
    const std::string folder = named ? "checkpoints/a/" : "";
    ASSERT_TRUE(succeeds(train(flags, {"--keep-best"})));
    Json best = {{"val_loss", 1e9}};
    for (const Json& record : metrics(folder + "metrics.jsonl")) {
      if (record.contains("val_loss") && record.at("val_loss") < best.at("val_loss")) best = record;
    }
    ASSERT_LT(best.at("step"), 40);
    const std::string file = folder + (named ? "best.bin" : "gpt_checkpoint.best.bin");
    EXPECT_EQ(EditableCheckpoint(path(file)).metadata.at("step"), best.at("step").dump());
    EXPECT_TRUE(succeeds(generate({"--prompt", "the", "--ckpt", file})));
    Flags continued = small({{"--ckpt", file}, {"--steps", "41"}});
    const Result result = train_gpt(to_arguments(continued));
    EXPECT_TRUE(succeeds(result));
    EXPECT_NE(result.out.find("after step " + best.at("step").dump()), std::string::npos) << result;
  }
}

TEST_F(TrainingCliTest, StopsWhenItsPatienceIsOver) {
  const Result result = train(too_fast({{"--patience", "3"}}));
  EXPECT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("stopping   3 validations without a new lowest loss\n"), std::string::npos)
      << result;
  std::vector<double> losses;
  for (const Json& record : metrics("metrics.jsonl")) {
    if (record.contains("val_loss")) losses.push_back(record.at("val_loss"));
  }
  EXPECT_LT(losses.size(), 20u);
  EXPECT_EQ(std::min_element(losses.begin(), losses.end()) - losses.begin(),
            static_cast<long>(losses.size()) - 4);
  EXPECT_NE(read("report.md").find("of 40: stopped early"), std::string::npos);
  // The saved flags and the count of validations apply to the resumed run too.
  const Result resumed = train_gpt({"--resume"});
  EXPECT_TRUE(succeeds(resumed));
  EXPECT_NE(resumed.out.find("stopping   4 validations"), std::string::npos) << resumed;
}

// ---- What is kept and what is rebuilt

TEST_F(TrainingCliTest, KeepsTokenizerAndTokensOfTheSameText) {
  ASSERT_TRUE(succeeds(train()));
  const auto written = fs::last_write_time(path("tokens.bin"));
  const Result result = train_gpt({"--data-path", "text.txt", "--steps", "1", "--seq", "8"});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("V=300 "), std::string::npos)
      << result.out;  // the tokenizer's size, not the default
  EXPECT_EQ(fs::last_write_time(path("tokens.bin")), written);
}

TEST_F(TrainingCliTest, AChangedTextGivesANewTokenizerAndNewTokens) {
  ASSERT_TRUE(succeeds(train()));
  const auto before = snapshot();
  write("text.txt", sample_text(1500, 2) + "quite another quarrel, quickly quelled, quite another quarrel");
  ASSERT_TRUE(succeeds(train()));
  for (const char* name : {"tokenizer.json", "tokens.bin", "gpt_checkpoint.bin"})
    EXPECT_TRUE(read(name) != before.at(name)) << name;
  EXPECT_TRUE(succeeds(generate({"--prompt", "the"})));
  // Restoring the first text gives exactly the first files again.
  write_text();
  ASSERT_TRUE(succeeds(train()));
  for (const char* name : {"tokenizer.json", "tokens.bin", "gpt_checkpoint.bin"})
    EXPECT_TRUE(read(name) == before.at(name)) << name;
}

TEST_F(TrainingCliTest, AnotherVocabularySizeGivesANewTokenizer) {
  ASSERT_TRUE(succeeds(train()));
  const Result result = train({{"--vocab-size", "290"}});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("V=290 "), std::string::npos) << result.out;
  EXPECT_EQ(Json::parse(read("tokenizer.json")).at("model").at("vocab").size(), 290u);
}

TEST_F(TrainingCliTest, ResetRebuildsTokenizerAndTokens) {
  ASSERT_TRUE(succeeds(train()));
  const auto before = snapshot();
  write("tokenizer.json", "damaged");
  write("tokens.bin", "damaged");
  ASSERT_TRUE(succeeds(train({}, {"--reset"})));
  EXPECT_TRUE(read("tokenizer.json") == before.at("tokenizer.json"));
  EXPECT_TRUE(read("tokens.bin") == before.at("tokens.bin"));
}

TEST_F(TrainingCliTest, DamagedTokensAreReportedAndRebuilt) {
  ASSERT_TRUE(succeeds(train()));
  const std::string good = read("tokens.bin");
  std::string flipped = good, future = good;
  flipped[good.size() / 2] ^= 1;
  future[8] = 2;  // the version
  for (const std::string& bad :
       {std::string(), good.substr(0, 40), good.substr(0, good.size() - 1), good + "x", flipped, future,
        std::string("{\"a\": 1}"), std::string(1000, '\0')}) {
    write("tokens.bin", bad);
    const Result result = train();
    ASSERT_TRUE(succeeds(result));
    EXPECT_NE(result.out.find("tokens.bin: "), std::string::npos);
    EXPECT_NE(result.out.find("again"), std::string::npos) << result.out;
    EXPECT_TRUE(read("tokens.bin") == good);
  }
}

TEST_F(TrainingCliTest, TheShortestUsableTextHasOneMoreTokenThanTheContext) {
  const Flags flags = {{"--vocab-size", "256"}, {"--val-fraction", "0"}, {"--steps", "1"}};
  write("text.txt", "nine byte");
  EXPECT_TRUE(succeeds(train(flags)));
  write("text.txt", "is eight");
  EXPECT_TRUE(refuses(train(flags), "--seq"));
}

TEST_F(TrainingCliTest, ANonFiniteLossStopsTheRunAndKeepsTheGoodFiles) {
  ASSERT_TRUE(succeeds(train()));
  auto before = snapshot();
  const Result result =
      train({{"--lr", "1e3"}, {"--grad-clip", "0"}, {"--warmup-steps", "0"}, {"--steps", "300"}});
  EXPECT_TRUE(refuses(result, "step "));
  EXPECT_NE(result.err.find("loss"), std::string::npos) << result.err;
  auto after = snapshot();
  before.erase("metrics.jsonl");  // written by the new run
  after.erase("metrics.jsonl");
  EXPECT_TRUE(same_files(before, after));
  EXPECT_TRUE(succeeds(generate({"--prompt", "the"})));
}

TEST_F(TrainingCliTest, ANonFiniteValidationLossStopsTheRunToo) {
  // The last update can do damage that no later training step detects.
  const Flags wild = {{"--lr", "1e3"},
                      {"--grad-clip", "0"},
                      {"--warmup-steps", "0"},
                      {"--beta2", "0"},
                      {"--weight-decay", "0"}};
  ASSERT_TRUE(succeeds(train()));
  const std::string good = read("gpt_checkpoint.bin");
  for (const char* steps : {"2", "3", "4", "5"}) {
    write("gpt_checkpoint.bin", good);
    Flags flags = wild;
    flags["--steps"] = steps;
    const Result result = train(flags);
    EXPECT_TRUE(result.status == 0 || refuses(result, "loss")) << result;
    EXPECT_EQ(read("metrics.jsonl").find("null"), std::string::npos) << "after " << steps << " steps";
    EXPECT_TRUE(result.status == 0 || read("gpt_checkpoint.bin") == good) << "after " << steps << " steps";
  }
}

TEST_F(TrainingCliTest, ANonFiniteLossNamesTheRemainingCheckpoint) {
  const Flags wild = {{"--lr", "1e3"},     {"--grad-clip", "0"},   {"--warmup-steps", "0"},
                      {"--steps", "300"},  {"--run-name", "wild"}, {"--ckpt-every", "1"},
                      {"--keep-last", "1"}};
  const Result result = train(wild);
  ASSERT_TRUE(refuses(result, "The checkpoint of step "));
  std::string latest = fs::read_symlink(path("checkpoints/wild/latest.bin"));
  latest = latest.substr(5, latest.find('.') - 5);
  EXPECT_NE(result.err.find("The checkpoint of step " + latest + " "), std::string::npos) << result.err;
  EXPECT_TRUE(succeeds(generate({"--prompt", "the", "--run-name", "wild"})));
}

TEST_F(TrainingCliTest, ANonFiniteRunKeepsTheTokenizerOfTheOldCheckpoint) {
  ASSERT_TRUE(succeeds(train()));
  ASSERT_TRUE(refuses(train({{"--vocab-size", "290"},
                             {"--lr", "1e3"},
                             {"--grad-clip", "0"},
                             {"--warmup-steps", "0"},
                             {"--steps", "300"}})));
  EXPECT_TRUE(succeeds(generate({"--prompt", "the"})));
}

}  // namespace
}  // namespace hipgpt
