// Tests of what a run leaves for its user to look at: metrics, samples, TensorBoard's files and the report.
#include <fmt/format.h>
#include <sys/mount.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "cli/program.h"

namespace hipgpt {
namespace {

using Json = nlohmann::json;

class WatchingCliTest : public CliTest {
 protected:
  WatchingCliTest() { write_text(); }

  std::vector<Json> metrics(const std::string& name) const {
    std::vector<Json> records;
    for (const std::string& line : lines_of(read(name))) records.push_back(Json::parse(line));
    return records;
  }

  std::vector<Json> samples(const std::string& name = "metrics.jsonl") const {
    std::vector<Json> found;
    for (const Json& record : metrics(name)) {
      if (record.contains("sample")) found.push_back(record);
    }
    return found;
  }

  /// Returns the event files in a folder, sorted by name.
  std::vector<fs::path> event_files(const std::string& folder) const {
    std::vector<fs::path> files;
    if (!exists(folder)) return files;
    for (const auto& entry : fs::directory_iterator(path(folder))) {
      if (entry.path().filename().string().starts_with("events.out.tfevents.")) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
  }
};

TEST_F(WatchingCliTest, WatchingARunChangesNothing) {
  const Flags flags = {{"--steps", "6"}, {"--ckpt-every", "3"}, {"--dropout", "0.1"}};
  Flags alone = flags, watched = flags;
  alone["--run-name"] = "alone";
  watched.insert({{"--run-name", "watched"},
                  {"--log-every", "1"},
                  {"--eval-every", "2"},
                  {"--sample-every", "1"},
                  {"--tensorboard", "tb"}});
  ASSERT_TRUE(succeeds(train(alone)));
  ASSERT_TRUE(succeeds(train(watched)));
  for (const char* name : {"step_3.bin", "step_6.bin"}) {
    EXPECT_TRUE(read(std::string("checkpoints/alone/") + name) ==
                read(std::string("checkpoints/watched/") + name))
        << name;
  }
  // The header of this file holds the flags, and the moments follow it.
  const auto moments = [&](const std::string& name) {
    const std::string file = read("checkpoints/" + name + "/step_6.optimizer.bin");
    uint64_t header = 0;
    std::memcpy(&header, file.data(), sizeof(header));
    return file.substr(sizeof(header) + header);
  };
  EXPECT_TRUE(moments("alone") == moments("watched"));
  EXPECT_GT(moments("alone").size(), 1000u);
  EXPECT_EQ(samples("checkpoints/watched/metrics.jsonl").size(), 6u);
}

// ---- Samples

TEST_F(WatchingCliTest, SamplesArePrintedRecordedAndReported) {
  const Result result = train({{"--steps", "5"}, {"--sample-every", "2"}});
  ASSERT_TRUE(succeeds(result));
  EXPECT_EQ(result.err, "");
  std::vector<int> steps;
  for (const Json& record : samples()) {
    steps.push_back(record.at("step"));
    const std::string prompt = record.at("prompt");
    EXPECT_TRUE(sample_text().starts_with(prompt)) << prompt;
    EXPECT_EQ(prompt.find('\n'), std::string::npos);
    EXPECT_GT(prompt.size(), 3u);
    EXPECT_NE(result.out.find("sample     " + prompt), std::string::npos) << result.out;
    EXPECT_NE(read("report.md").find(prompt + record.at("sample").get<std::string>()), std::string::npos);
  }
  EXPECT_EQ(steps, (std::vector<int>{2, 4, 5}));
}

TEST_F(WatchingCliTest, ASampleHasTheGivenPromptAndLength) {
  const Flags flags = {{"--sample-every", "4"}, {"--sample-prompt", "high hills"}};
  const auto sample = [&](const char* tokens) {
    Flags more = flags;
    more["--sample-tokens"] = tokens;
    EXPECT_TRUE(succeeds(train(more)));
    EXPECT_EQ(samples().size(), 1u);
    EXPECT_EQ(samples()[0].at("prompt"), "high hills");
    return samples()[0].at("sample").get<std::string>();
  };
  const std::string one = sample("1"), more = sample("30");
  EXPECT_FALSE(one.empty());
  EXPECT_GT(more.size(), one.size());
  EXPECT_TRUE(more.starts_with(one));  // the same random numbers every time
  EXPECT_EQ(more, sample("30"));
}

TEST_F(WatchingCliTest, AnUnchangedModelWritesTheSameEveryTime) {
  ASSERT_TRUE(succeeds(train({{"--sample-every", "1"}, {"--lr", "1e-12"}})));
  ASSERT_EQ(samples().size(), 4u);
  for (const Json& record : samples()) EXPECT_EQ(record.at("sample"), samples()[0].at("sample"));
}

TEST_F(WatchingCliTest, SamplesOfATextOfAnyBytesAreUtf8) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>(128 + (i * 37 + i / 7) % 128);
  write("text.txt", text);
  ASSERT_TRUE(succeeds(train({{"--sample-every", "1"}, {"--vocab-size", "256"}, {"--tensorboard", "tb"}})));
  EXPECT_EQ(samples().size(), 4u);
  EXPECT_NE(read("metrics.jsonl").find("\xEF\xBF\xBD"), std::string::npos);
}

TEST_F(WatchingCliTest, AFileNameThatIsNotUtf8IsRecordedToo) {
  write("te\xFFxt|.txt", sample_text());
  const Flags flags = {{"--data-path", "te\xFFxt|.txt"}, {"--tensorboard", "tb"}};
  ASSERT_TRUE(succeeds(train(flags)));
  EXPECT_EQ(metrics("metrics.jsonl").at(0).at("run").at("data"), Json::array({"te\uFFFDxt|.txt"}));
  EXPECT_NE(read("report.md").find("| te\uFFFDxt\\|.txt |"), std::string::npos);
  EXPECT_NE(read("report.md").find("--data-path 'te\uFFFDxt|.txt'"), std::string::npos);
  EXPECT_EQ(event_files("tb").size(), 1u);
}

// ---- TensorBoard

TEST_F(WatchingCliTest, EventFilesOfANamedRunHaveAFolderOfTheirOwn) {
  ASSERT_TRUE(succeeds(train({{"--tensorboard", "made/tb"}})));
  ASSERT_TRUE(succeeds(train({{"--tensorboard", "made/tb"}, {"--run-name", "a"}})));
  ASSERT_TRUE(succeeds(train({{"--tensorboard", "made/tb"}, {"--run-name", "b"}})));
  for (const char* folder : {"made/tb", "made/tb/a", "made/tb/b"}) {
    EXPECT_EQ(event_files(folder).size(), 1u) << folder;
  }
}

TEST_F(WatchingCliTest, AnUnusableTensorBoardFolderIsReportedBeforeTraining) {
  ASSERT_TRUE(succeeds(train()));
  write("file", "a file");
  EXPECT_REFUSED(train({{"--tensorboard", "file"}}), "file");
  EXPECT_REFUSED(train({{"--tensorboard", "file/tb"}}), "file/tb");
}

TEST_F(WatchingCliTest, AFullDiskStopsTensorBoardButNotTheTraining) {
  fs::create_directory(path("disk"));
  if (::mount("tmpfs", path("disk").c_str(), "tmpfs", 0, "size=8k") != 0)
    GTEST_SKIP() << "mounting is not permitted here";
  struct Unmount {
    std::string at;
    ~Unmount() { ::umount2(at.c_str(), MNT_DETACH); }
  } const unmount{path("disk")};
  const Flags flags = {{"--steps", "200"}, {"--log-every", "1"}, {"--tensorboard", "disk"}};
  const Result result = train(flags);
  EXPECT_TRUE(succeeds(result));
  EXPECT_EQ(lines_of(result.err).size(), 1u) << result;
  EXPECT_TRUE(result.err.starts_with("train_gpt: disk/events.out.tfevents.")) << result;
  EXPECT_NE(result.err.find("continues without"), std::string::npos) << result;
  EXPECT_EQ(metrics("metrics.jsonl").size(), 202u);  // the run, its steps and one validation
}

// ---- A resumed run

TEST_F(WatchingCliTest, TheRecordsOfAResumedRunReadLikeThoseOfAnUninterruptedOne) {
  const Flags flags = {{"--run-name", "a"},    {"--steps", "8"},        {"--log-every", "1"},
                       {"--eval-every", "2"},  {"--sample-every", "2"}, {"--ckpt-every", "4"},
                       {"--tensorboard", "tb"}};
  const auto records = [&] {
    std::vector<Json> all;
    double elapsed = 0.0;
    for (Json record : metrics("checkpoints/a/metrics.jsonl")) {
      if (record.contains("run")) continue;
      EXPECT_GE(record.at("elapsed_s"), elapsed);
      elapsed = record.at("elapsed_s");
      record.erase("elapsed_s");
      record.erase("tokens_per_s");
      all.push_back(record);
    }
    return all;
  };
  ASSERT_TRUE(succeeds(train(flags)));
  const auto straight = records();
  const std::string report = read("checkpoints/a/report.md");
  EXPECT_EQ(straight.size(), 8u + 4u + 4u);

  // The run had reached step 8 and died in the middle of a line.
  write("checkpoints/a/metrics.jsonl", read("checkpoints/a/metrics.jsonl") + "{\"step\":9,\"lo");
  Flags resumed = flags;
  resumed["--ckpt"] = "checkpoints/a/step_4.bin";
  for (int times = 1; times <= 2; ++times) {
    ASSERT_TRUE(succeeds(train(resumed)));
    EXPECT_EQ(records(), straight);
    EXPECT_EQ(metrics("checkpoints/a/metrics.jsonl").size(), straight.size() + 2);
    EXPECT_EQ(event_files("tb/a").size(), 1u + static_cast<size_t>(times));
  }
  for (const char* row : {"| steps |", "| tokens |", "| validation loss |", "| best validation loss |"}) {
    const auto row_of = [&](const std::string& page) {
      const size_t begin = page.find(row);
      return page.substr(begin, page.find('\n', begin) - begin);
    };
    EXPECT_EQ(row_of(read("checkpoints/a/report.md")), row_of(report));
  }
}

TEST_F(WatchingCliTest, TheBestValidationOfTheEarlierRunIsRemembered) {
  ASSERT_TRUE(succeeds(train({{"--steps", "4"}, {"--eval-every", "2"}})));
  // Pretends that the validation at step 2 was better than any can be.
  std::string content;
  for (Json record : metrics("metrics.jsonl")) {
    if (record.contains("val_loss") && record.at("step") == 2) record["val_loss"] = 0.125;
    content += record.dump() + "\n";
  }
  write("metrics.jsonl", content);
  const Result result = train({{"--steps", "6"}, {"--ckpt", "gpt_checkpoint.bin"}});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("(best 0.1250)"), std::string::npos) << result.out;
  EXPECT_NE(read("report.md").find("| best validation loss | 0.1250 (perplexity 1.1) at step 2 |"),
            std::string::npos);
}

// ---- The report

TEST_F(WatchingCliTest, TheReportSaysWhatWasRunAndHowItWent) {
  ASSERT_TRUE(succeeds(train({{"--run-name", "it's"}, {"--steps", "3"}})));
  const std::string report = read("checkpoints/it's/report.md");
  const Json last = metrics("checkpoints/it's/metrics.jsonl").back();
  const std::string loss = fmt::format("| validation loss | {:.4f} ", last.at("val_loss").get<double>());
  for (const char* part : {"# Training run it's\n", "![Loss curve](loss.svg)", "| steps | 3 |",
                           "| tokens | 96, ", "| V, vocabulary | 300 |", "| data | text.txt |",
                           "--run-name 'it'\\''s'", "| device | cpu, 1 thread, OpenBLAS 0.", loss.c_str()}) {
    EXPECT_NE(report.find(part), std::string::npos) << part << "\n" << report;
  }
  EXPECT_NE(read("checkpoints/it's/loss.svg").find("</svg>"), std::string::npos);
}

TEST_F(WatchingCliTest, AFileThatIsNotAReportStaysAndTheTrainingIsNotLost) {
  write("report.md", "# My own notes\n");
  const Result result = train();
  EXPECT_TRUE(succeeds(result));
  EXPECT_TRUE(result.err.starts_with("train_gpt: report.md: ")) << result;
  EXPECT_EQ(lines_of(result.err).size(), 1u) << result;
  EXPECT_EQ(read("report.md"), "# My own notes\n");
  EXPECT_TRUE(succeeds(generate({"--prompt", "the"})));
}

}  // namespace
}  // namespace hipgpt
