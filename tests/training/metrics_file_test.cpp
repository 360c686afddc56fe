// metrics.jsonl: what a run writes, what one that goes on keeps, and what is read back.
#include "training/metrics_file.h"

#include "files/test_files.h"

namespace hipgpt {
namespace {

class MetricsFileTest : public FilesTest {
 protected:
  std::string file() const { return path("metrics.jsonl"); }

  /// The file after a run went on after `step`.
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

TEST_F(MetricsFileTest, ANewRunBeginsAnewAndEveryLineIsFlushed) {
  write_all(file(), "old");
  MetricsFile metrics(file(), std::nullopt);
  EXPECT_EQ(read_all(file()), "");
  metrics.write({{"step", 1}, {"loss", 2.5}});
  EXPECT_EQ(read_all(file()), "{\"step\":1,\"loss\":2.5}\n");
  metrics.write({{"run", {{"data", "not UTF-8: \xff"}}}});
  EXPECT_EQ(read_all(file()), "{\"step\":1,\"loss\":2.5}\n{\"run\":{\"data\":\"not UTF-8: \uFFFD\"}}\n");
}

TEST_F(MetricsFileTest, ARunThatGoesOnForgetsLaterStepsAndHalfALine) {
  const std::string kept = kRun + step(1) + step(2) + validation(2, 3.0);
  EXPECT_EQ(resumed(kept, 2), kept);
  EXPECT_EQ(resumed(kept + step(3) + step(4), 2), kept);
  EXPECT_EQ(resumed(kept + step(3) + kRun + step(2), 2), kept);
  EXPECT_EQ(resumed(kept + "{\"step\":2,\"lo", 2), kept);
  EXPECT_EQ(resumed(kept + "{\"st", 5), kept);
  EXPECT_EQ(resumed(kept + "{\"step\":2}", 5), kept);  // what is written next must not follow it on its line
  EXPECT_EQ(resumed(kept + std::string(100, '\0'), 2), kept);
  EXPECT_EQ(resumed(kept, 1), kRun + step(1));
  EXPECT_EQ(files_in_folder(), 1u);  // and no temporary file
}

TEST_F(MetricsFileTest, ACoupleOfContinuationsThatCameNowhereLeaveNoTrace) {
  const std::string kept = kRun + step(1) + step(2);
  EXPECT_EQ(resumed(kept + kRun + kRun, 2), kept);
  // One that came on stays, for the settings may have changed.
  EXPECT_EQ(resumed(kept + kRun + step(3) + kRun, 3), kept + kRun + step(3));
  EXPECT_EQ(resumed(kRun, 2), "");
  EXPECT_EQ(resumed("", 2), "");
}

TEST_F(MetricsFileTest, ARunThatGoesOnElsewhereBeginsItsFile) {
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

TEST_F(MetricsFileTest, OfAStepThatIsToldTwiceTheLaterLineHolds) {
  write_all(file(),
            kRun + step(1, 4.0) + step(2, 3.0) + step(3, 2.5) + "{\"run\":{\"dim\":32}}\n" + step(2, 3.5));
  const RunHistory history = read_history(file());
  ASSERT_EQ(history.loss.size(), 2u);  // step 3 was of a run that did not go on
  EXPECT_EQ(history.loss[1].value, 3.5);
  EXPECT_EQ(history.run["dim"], 32);
}

TEST_F(MetricsFileTest, WhatIsNoRecordIsPassedOver) {
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
