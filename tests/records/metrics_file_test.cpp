// Tests of metrics.jsonl: what a run writes, what a resumed run keeps, and what is read back.
#include "records/metrics_file.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "files/test_files.h"

namespace hipgpt {
namespace {

class MetricsFileTest : public FilesTest {
 protected:
  std::string file() const { return path("metrics.jsonl"); }

  /// The file after a run resumes after `step`.
  std::string resumed(const std::string& content, int64_t step) const {
    write_all(file(), content);
    { MetricsFile metrics(file(), step); }
    return read_all(file());
  }
};

const std::string kRun = "{\"run\":{\"dim\":16}}\n";

std::string step(int n, double loss = 1.5) {
  return "{\"step\":" + std::to_string(n) + ",\"loss\":" + std::to_string(loss) + "}\n";
}

std::string validation(int n, double loss) {
  return "{\"step\":" + std::to_string(n) + ",\"val_loss\":" + std::to_string(loss) + "}\n";
}

TEST_F(MetricsFileTest, ANewRunStartsAnEmptyFileAndFlushesEveryLine) {
  write_all(file(), "old");
  MetricsFile metrics(file(), std::nullopt);
  EXPECT_EQ(read_all(file()), "");
  metrics.write({{"step", 1}, {"loss", 2.5}});
  EXPECT_EQ(read_all(file()), "{\"step\":1,\"loss\":2.5}\n");
  metrics.write({{"run", {{"data", "not UTF-8: \xff"}}}});
  EXPECT_EQ(read_all(file()), "{\"step\":1,\"loss\":2.5}\n{\"run\":{\"data\":\"not UTF-8: \uFFFD\"}}\n");
}

TEST_F(MetricsFileTest, AResumedRunDropsLaterStepsAndAHalfWrittenLine) {
  const std::string kept = kRun + step(1) + step(2) + validation(2, 3.0);
  EXPECT_EQ(resumed(kept, 2), kept);
  EXPECT_EQ(resumed(kept + step(3) + step(4), 2), kept);
  EXPECT_EQ(resumed(kept + step(3) + kRun + step(2), 2), kept);
  EXPECT_EQ(resumed(kept + "{\"step\":2,\"lo", 2), kept);
  EXPECT_EQ(resumed(kept + "{\"st", 5), kept);
  EXPECT_EQ(resumed(kept + "{\"step\":2}", 5), kept);  // the next record must not share its line
  EXPECT_EQ(resumed(kept + std::string(100, '\0'), 2), kept);
  EXPECT_EQ(resumed(kept, 1), kRun + step(1));
  EXPECT_EQ(files_in_folder(), 1u);  // no temporary file is left
}

TEST_F(MetricsFileTest, ResumesWithoutProgressLeaveNoTrace) {
  const std::string kept = kRun + step(1) + step(2);
  EXPECT_EQ(resumed(kept + kRun + kRun, 2), kept);
  // A resume that made progress stays, because its settings may have changed.
  EXPECT_EQ(resumed(kept + kRun + step(3) + kRun, 3), kept + kRun + step(3));
  EXPECT_EQ(resumed(kRun, 2), "");
  EXPECT_EQ(resumed("", 2), "");
}

TEST_F(MetricsFileTest, ARunResumedElsewhereStartsItsOwnFile) {
  MetricsFile metrics(file(), 7);
  metrics.write({{"step", 8}});
  EXPECT_EQ(read_all(file()), "{\"step\":8}\n");
}

TEST_F(MetricsFileTest, LinesOfOtherProgramsStayWhereTheyAre) {
  const std::string kept = kRun + step(1) + "# a remark\n[1, 2]\n{\"note\":\"x\"}\n" + step(2);
  EXPECT_EQ(resumed(kept + step(3), 2), kept);
}

TEST_F(MetricsFileTest, TheHistoryIsReadBack) {
  write_all(file(),
            kRun + step(1, 4.5) + step(2, 3.5) + validation(2, 3.25) + step(3, 3.0) + validation(3, 3.0) +
                validation(4, 3.125) +
                "{\"step\":4,\"prompt\":\"To\",\"sample\":\" be\",\"elapsed_s\":12.5}\n{\"step\":5,\"lo");
  const RunHistory history = read_history(file());
  EXPECT_EQ(history.run["dim"], 16);
  ASSERT_EQ(history.loss.size(), 3u);
  EXPECT_EQ(history.loss[1].step, 2);
  EXPECT_EQ(history.loss[1].value, 3.5);
  ASSERT_EQ(history.val_loss.size(), 3u);
  EXPECT_EQ(history.best_validation()->step, 3);
  EXPECT_EQ(history.best_validation()->value, 3.0);
  ASSERT_EQ(history.samples.size(), 1u);
  EXPECT_EQ(history.samples[0].prompt + history.samples[0].continuation, "To be");
  EXPECT_EQ(history.elapsed_seconds, 12.5);
}

TEST_F(MetricsFileTest, TheLaterOfTwoLinesForOneStepCounts) {
  write_all(file(),
            kRun + step(1, 4.0) + step(2, 3.0) + step(3, 2.5) + "{\"run\":{\"dim\":32}}\n" + step(2, 3.5));
  const RunHistory history = read_history(file());
  ASSERT_EQ(history.loss.size(), 2u);  // the resume after step 1 dropped step 3
  EXPECT_EQ(history.loss[1].value, 3.5);
  EXPECT_EQ(history.run["dim"], 32);
}

/// Formats the losses as lines such as "loss 1 2.5" and "val_loss 2 3.25", training losses first.
std::string losses_of(const RunHistory& history) {
  std::string lines;
  for (const auto& [step, value] : history.loss) lines += fmt::format("loss {} {}\n", step, value);
  for (const auto& [step, value] : history.val_loss) lines += fmt::format("val_loss {} {}\n", step, value);
  return lines;
}

/// Returns the same lines from a file that scripts/plot_training.py reads.
std::string losses_of_plot_script(const std::string& file) {
  constexpr const char* kProgram =
      "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, sys.argv[1])\n"
      "from pathlib import Path; from plot_training import read_run\n"
      "run = read_run(Path(sys.argv[2]))\n"
      "for name, records in ((\"loss\", run.train), (\"val_loss\", run.evaluation)):\n"
      "    for record in records: print(name, record[\"step\"], f\"{record[name]:.17g}\")\n";
  const std::string command =
      fmt::format("python3 -c '{}' '{}/../scripts' '{}' 2>/dev/null", kProgram, HIPGPT_TEST_DATA_DIR, file);
  std::FILE* output = ::popen(command.c_str(), "r");
  std::string lines;
  char name[16];
  long long step = 0;
  double value = 0;
  while (std::fscanf(output, "%15s %lld %lf", name, &step, &value) == 3) {
    lines += fmt::format("{} {} {}\n", name, step, value);
  }
  ::pclose(output);
  return lines;
}

TEST_F(MetricsFileTest, ThePlotScriptReadsTheSameLosses) {
  if (std::system("python3 -c 0 2>/dev/null") != 0) GTEST_SKIP() << "python3 was not found";
  write_all(
      file(),
      kRun + step(1, 4.0) + step(2, 3.0) + validation(2, 3.25) + step(3, 2.5) + step(4, 2.25) +
          validation(4, 2.75) + kRun + step(3, 2.75) + validation(3, 3.0) + step(3, 2.625) +
          "{\"step\":4,\"loss\":NaN}\n{\"step\":4,\"loss\":1,\"x\":NaN}\n{\"step\":1.0,\"loss\":1}\n{"
          "\"step\":true,\"loss\":1}\n"
          "{\"step\":0,\"loss\":-2}\n{\"step\":0,\"loss\":1,\"lr\":-1}\n{\"step\":0,\"loss\":\"x\"}\n"
          "{\"step\":0,\"loss\":1,\"x\":\"\xff\"}\n{\"step\":0,\"loss\":true}\n[0]\n"
          "{\"step\":5,\r\"loss\":2.5,\"x\":\"\u2028\"}\n{\"step\":-1,\"val_loss\":1}\n{\"step\":0,\"lo");
  EXPECT_EQ(losses_of(read_history(file())),
            "loss 1 4\nloss 2 3\nloss 3 2.625\nloss 5 2.5\nval_loss 2 3.25\nval_loss 3 3\n");
  EXPECT_EQ(losses_of_plot_script(file()), losses_of(read_history(file())));

  std::mt19937 random(1);
  std::string text;
  for (int i = 0, n = 1; i < 2000; ++i, ++n) {
    if (random() % 20 == 0) n -= std::min<int>(n, static_cast<int>(random() % 15));  // resumes
    const int loss = static_cast<int>(random() % 1000);
    text += random() % 4 == 0 ? validation(n, loss) : step(n, loss);
  }
  write_all(file(), text);
  EXPECT_GT(read_history(file()).loss.size(), 300u);
  EXPECT_EQ(losses_of_plot_script(file()), losses_of(read_history(file())));
}

TEST_F(MetricsFileTest, LinesThatAreNotRecordsAreSkipped) {
  write_all(file(),
            "\n[]\n3\n{\"step\":\"1\",\"loss\":1}\n{\"step\":1,\"loss\":\"x\"}\n{\"step\":2,\"loss\":1e300}\n"
            "{\"step\":3,\"elapsed_s\":\"x\",\"sample\":5}\n{\"run\":7}\n{\"step\":4,\"loss\":NaN}\n");
  const RunHistory history = read_history(file());
  EXPECT_TRUE(history.loss.empty());
  EXPECT_TRUE(history.samples.empty());
  EXPECT_TRUE(history.run.members().empty());
  EXPECT_FALSE(history.best_validation());
  EXPECT_TRUE(read_history(path("missing")).loss.empty());
}

}  // namespace
}  // namespace hipgpt
