// Tests of files, folders and disks that disappear under a running program. The program names what is missing
// in one line, exits with status 1, and leaves the last checkpoint intact.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mount.h>

#include "checkpoint.h"
#include "cli/program.h"
#include "cli/terminal.h"
#include "gpt_weights.h"

namespace hipgpt {
namespace {

/// A folder with a small trained model in it.
class LostFilesCliTest : public CliTest {
 protected:
  LostFilesCliTest() {
    write_text();
    if (!succeeds(train())) throw std::runtime_error("cannot train");
  }

  static constexpr size_t kManyBytes = size_t{16} << 20;  // takes longer to read than the test needs to react

  Result generate_text() const { return generate({"--prompt", "the king", "--threads", "1"}); }

  /// A run that does not end by itself.
  static Flags endless(Flags changes = {}) {
    changes.merge(Flags{{"--steps", "1000000000"}});
    return small(changes);
  }

  template <typename Condition>
  static bool wait_until(const Condition& holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
    return true;
  }

  bool trains(const std::string& metrics = "metrics.jsonl") const {
    return read(metrics).find("\"loss\"") != std::string::npos;
  }

  /// Starts a program and empties a file as soon as the program has mapped it.
  Result run_and_empty(const std::string& program, const Arguments& arguments, const std::string& name) {
    const pid_t child = start(program, arguments);
    const std::string maps = fmt::format("/proc/{}/maps", child);
    EXPECT_TRUE(wait_until([&] { return read_file(maps).find("/" + name + "\n") != std::string::npos; }));
    ::kill(child, SIGSTOP);
    fs::resize_file(path(name), 0);
    ::kill(child, SIGCONT);
    return finish(child);
  }

  /// Expects an endless run whose checkpoint folder is gone to continue until it is stopped.
  void expect_failed_saves(pid_t child, const std::string& file) {
    EXPECT_TRUE(wait_until(
        [&] { return read_file(root_ / "stderr").find("without this checkpoint\n") != std::string::npos; }));
    ::kill(child, SIGTERM);
    const Result result = finish(child);
    EXPECT_EQ(result.status, 1) << result;
    EXPECT_TRUE(last_line(result.err).starts_with("train_gpt: " + file)) << result;
    EXPECT_TRUE(last_line(result.err).ends_with("its folder does not exist; create it first")) << result;
  }

  /// Expects that the earlier model is still usable.
  void expect_usable() {
    EXPECT_TRUE(succeeds(generate_text()));
    EXPECT_TRUE(succeeds(train({{"--ckpt", "gpt_checkpoint.bin"}, {"--steps", "6"}})));
  }
};

/// Writes a sparse checkpoint without checksums, whose weights are all zero and take no disk space.
void write_zero_checkpoint(const fs::path& path, const ModelConfig& config) {
  uint64_t bytes = 0;
  auto metadata = config.to_metadata();
  metadata.insert({{"hipgpt_format", "checkpoint-1"}, {"step", "4"}, {"tokenizer_hash", "1"}});
  std::string header = "{\"__metadata__\":{";
  for (const auto& [key, value] : metadata)
    header += fmt::format("{}\"{}\":\"{}\"", header.ends_with('{') ? "" : ",", key, value);
  header += "}";
  GPTWeights(config).for_each([&](const std::string& name, const Tensor& tensor, bool) {
    const uint64_t end = bytes + tensor.bytes();
    header += fmt::format(",\"{}\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", name,
                          fmt::join(tensor.shape(), ","), bytes, end);
    bytes = end;
  });
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t length = header.size();
  write_file(path, std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header);
  fs::resize_file(path, sizeof(length) + length + bytes);
}

// ---- Files that become shorter while they are mapped

TEST_F(LostFilesCliTest, ATextThatBecomesShorterIsReported) {
  std::string text = sample_text(10'000);
  while (text.size() < kManyBytes) text += text;
  write("long.txt", text);
  const auto before = snapshot();
  const Result result =
      run_and_empty(HIPGPT_TRAIN_GPT, to_arguments(endless({{"--data-path", "long.txt"}})), "long.txt");
  EXPECT_TRUE(refuses(result, "long.txt: became shorter"));
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(read("gpt_checkpoint.bin") == before.at("gpt_checkpoint.bin"));
  EXPECT_TRUE(read("tokenizer.json") == before.at("tokenizer.json"));
  expect_usable();
}

TEST_F(LostFilesCliTest, TokensThatBecomeShorterInTrainingAreReported) {
  fs::remove(path("metrics.jsonl"));
  const pid_t child = start(HIPGPT_TRAIN_GPT, to_arguments(endless()));
  EXPECT_TRUE(wait_until([&] { return trains(); }));
  fs::resize_file(path("tokens.bin"), 0);
  const Result result = finish(child);
  EXPECT_TRUE(refuses(result, "tokens.bin: became shorter"));
  EXPECT_EQ(result.status, 1);
  expect_usable();
}

TEST_F(LostFilesCliTest, ACheckpointThatBecomesShorterIsReportedByBothPrograms) {
  ModelConfig config;
  config.embed_dim = 2048;
  for (const std::string program : {HIPGPT_GENERATE, HIPGPT_TRAIN_GPT}) {
    write_zero_checkpoint(path("zeros.bin"), config);
    Arguments arguments = {"--ckpt", "zeros.bin"};
    const Arguments more =
        program == HIPGPT_GENERATE ? Arguments{"--prompt", "a"} : Arguments{"--data-path", "text.txt"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = run_and_empty(program, arguments, "zeros.bin");
    EXPECT_TRUE(refuses(result, "zeros.bin: became shorter"));
    EXPECT_EQ(result.status, 1);
  }
  expect_usable();
}

// ---- Places that take no more files

TEST_F(LostFilesCliTest, AFileBeyondTheLimitIsReportedAndTheOldFilesStay) {
  const auto before = snapshot();
  const size_t checkpoint_bytes = read("gpt_checkpoint.bin").size();
  for (const size_t limit : {size_t{0}, size_t{1000}, checkpoint_bytes - 1}) {
    SCOPED_TRACE(limit);
    largest_file_ = limit;
    const Result result = train({{"--ckpt", "gpt_checkpoint.bin"}, {"--steps", "6"}});
    EXPECT_EQ(result.signal, 0) << result;
    EXPECT_EQ(result.status, 1) << result;
    largest_file_ = RLIM_INFINITY;
    auto after = snapshot();
    after["metrics.jsonl"] = before.at("metrics.jsonl");  // written as far as space allowed
    EXPECT_TRUE(same_files(before, after));
  }
  expect_usable();
}

TEST_F(LostFilesCliTest, AMetricsFileBeyondTheLimitIsReportedOnceAndTheRunContinues) {
  const size_t room = size_t{120} << 10;  // enough for everything except the metrics
  largest_file_ = room;
  const Result result = train({{"--run-name", "a"}, {"--steps", "2000"}, {"--log-every", "1"}});
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_NE(result.err.find("metrics.jsonl"), std::string::npos) << result;
  EXPECT_EQ(lines_of(result.err).size(), 1u) << result;
  largest_file_ = RLIM_INFINITY;
  EXPECT_TRUE(succeeds(generate({"--prompt", "the king", "--run-name", "a"})));
}

TEST_F(LostFilesCliTest, StandardOutputBeyondTheLimitIsReported) {
  largest_file_ = 200;
  const Result result = generate({"--prompt", "the king", "--num-tokens", "2000"});
  EXPECT_EQ(result.status, 1) << result;
  EXPECT_TRUE(result.out.starts_with("the king")) << result;
}

TEST_F(LostFilesCliTest, AReadOnlyFileSystemIsRefused) {
  if (::mount(folder_.c_str(), folder_.c_str(), nullptr, MS_BIND, nullptr) != 0)
    GTEST_SKIP() << "mounting is not permitted here";
  struct Unmount {
    std::string at;
    ~Unmount() { ::umount2(at.c_str(), MNT_DETACH); }
  } const unmount{folder_};
  ASSERT_EQ(::mount(nullptr, folder_.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
  EXPECT_REFUSED(train({{"--ckpt", "gpt_checkpoint.bin"}, {"--steps", "6"}}), "write-protected");
  EXPECT_REFUSED(train({{"--vocab-size", "290"}}), "write-protected");
  EXPECT_REFUSED(train({{"--run-name", "a"}}), "checkpoints");
  EXPECT_TRUE(succeeds(generate_text()));
}

/// A folder on a file system of its own, which a test can fill.
class FullDiskCliTest : public LostFilesCliTest {
 protected:
  FullDiskCliTest() {
    fs::create_directory(path("disk"));
    mounted_ = ::mount("tmpfs", path("disk").c_str(), "tmpfs", 0, "size=3m") == 0;
    for (const char* name : {"text.txt", "tokenizer.json"})
      fs::copy(path(name), path("disk") / name);  // with the tokenizer, a new checkpoint adds no other file
    folder_ = path("disk");
  }
  ~FullDiskCliTest() override {
    folder_ = root_ / "work";
    if (mounted_) ::umount2(path("disk").c_str(), MNT_DETACH);
  }

  /// A checkpoint has 0.37 MB, and its optimizer state 0.74 MB.
  static Flags large(Flags more = {}) {
    more.merge(Flags{{"--dim", "64"}, {"--ff", "256"}, {"--eval-every", "0"}, {"--ckpt-every", "0"}});
    return endless(more);
  }

  /// Saves a checkpoint that differs from those of stopped_with_room_for(). Returns its weights.
  std::string save_older_checkpoint() {
    if (!succeeds(train(large({{"--steps", "1"}, {"--seed", "2"}}))))
      throw std::runtime_error("cannot train");
    fs::remove(path("metrics.jsonl"));  // stopped_with_room_for() waits for it
    return read("gpt_checkpoint.bin");
  }

  /// Starts an endless run, fills the disk up to `left` bytes, and asks the run to stop.
  Result stopped_with_room_for(uint64_t left, const Flags& more = {}) {
    const pid_t child = start(HIPGPT_TRAIN_GPT, to_arguments(large(more)));
    EXPECT_TRUE(wait_until([&] { return trains(); }));
    write("filler", std::string(fs::space(folder_).available - left, 'x'));
    ::kill(child, SIGTERM);
    return finish(child);
  }

  bool mounted_ = false;
};

TEST_F(FullDiskCliTest, SpaceIsCheckedBeforeTheStart) {
  if (!mounted_) GTEST_SKIP() << "mounting is not permitted here";
  // The third save writes its files beside the two checkpoints that are kept.
  const Result three = train(large({{"--steps", "3"}, {"--ckpt-every", "1"}}));
  EXPECT_TRUE(refuses(three, "the working folder: the checkpoints of this run need 3.3 MB (1.1 MB each"));
  EXPECT_TRUE(refuses(three, "--ckpt-every 0, which saves only at the end"));
  EXPECT_FALSE(exists("metrics.jsonl"));
  // Checkpoints by time may never become so many, so the run begins.
  Flags by_time = large({{"--steps", "3"}});
  by_time.erase("--ckpt-every");
  const Result warned = train_gpt(to_arguments(by_time));
  EXPECT_TRUE(succeeds(warned));
  EXPECT_NE(warned.err.find("a save that does not fit will be skipped"), std::string::npos) << warned;
  fs::remove(path("gpt_checkpoint.bin"));
  fs::remove(path("gpt_checkpoint.optimizer.bin"));
  ASSERT_TRUE(succeeds(train(large({{"--steps", "2"}, {"--ckpt-every", "1"}}))));
  // What is there is counted once: two checkpoints stay and there is room for no third.
  EXPECT_TRUE(refuses(train(large({{"--steps", "1"}})), "use another folder"));
}

TEST_F(FullDiskCliTest, TheWeightsAloneAreSavedIfOnlyTheyFit) {
  if (!mounted_) GTEST_SKIP() << "mounting is not permitted here";
  const std::string older = save_older_checkpoint();
  const Result result = stopped_with_room_for(600'000);
  EXPECT_TRUE(refuses(result, "only the weights of step ")) << result;
  EXPECT_TRUE(read("gpt_checkpoint.previous.bin") == older);
  EXPECT_TRUE(read("gpt_checkpoint.bin") != older);
  EXPECT_FALSE(exists("gpt_checkpoint.optimizer.bin"));
  EXPECT_TRUE(succeeds(generate_text()));
  fs::remove(path("filler"));
  const Result resumed = train_gpt({"--resume", "--steps", "2", "--threads", "1"});
  EXPECT_TRUE(succeeds(resumed));
  EXPECT_NE(resumed.out.find("gpt_checkpoint.previous.bin after step 1"), std::string::npos) << resumed;
}

TEST_F(FullDiskCliTest, WeightsThatWereSavedAloneContinueWithANewOptimizer) {
  if (!mounted_) GTEST_SKIP() << "mounting is not permitted here";
  save_older_checkpoint();
  EXPECT_TRUE(refuses(stopped_with_room_for(600'000), "--ckpt gpt_checkpoint.bin continues"));
  fs::remove(path("filler"));
  const Result result = train(large({{"--steps", "1"}, {"--ckpt", "gpt_checkpoint.bin"}}));
  EXPECT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("with a new optimizer"), std::string::npos) << result;
}

TEST_F(FullDiskCliTest, WhatToFreeIsReportedIfNothingFits) {
  if (!mounted_) GTEST_SKIP() << "mounting is not permitted here";
  const std::string older = save_older_checkpoint();
  const Result result = stopped_with_room_for(100'000);
  EXPECT_NE(last_line(result.err).find("it needs 1.1 MB, or 36"), std::string::npos) << result;
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(read("gpt_checkpoint.bin") == older);
}

/// The weights of a named run get their own file, and the complete checkpoint stays.
TEST_F(LostFilesCliTest, TheWeightsAloneDoNotDisplaceTheCheckpointOfANamedRun) {
  const Flags flags = {{"--run-name", "a"}, {"--keep-last", "1"}};
  ASSERT_TRUE(succeeds(train(flags)));
  largest_file_ = read("checkpoints/a/step_4.bin").size() + 1000;
  Flags more = flags;
  more["--steps"] = "6";
  EXPECT_TRUE(refuses(train(more, {"--resume"}), "only the weights of step 6 are saved"));
  largest_file_ = RLIM_INFINITY;
  EXPECT_TRUE(exists("checkpoints/a/step_6.bin"));
  EXPECT_TRUE(exists("checkpoints/a/step_4.optimizer.bin"));
  EXPECT_TRUE(succeeds(generate({"--prompt", "the king", "--run-name", "a"})));
  const Result resumed = train(more, {"--resume"});
  EXPECT_TRUE(succeeds(resumed));
  EXPECT_NE(resumed.out.find("after step 4"), std::string::npos) << resumed;
}

TEST_F(LostFilesCliTest, AUserAtATerminalMakesRoomAndTriesAgain) {
  const Preloaded full(HIPGPT_DISK_FAULTS, "HIPGPT_FULL_DISK", path("full").string());
  fs::remove(path("metrics.jsonl"));
  for (const bool gives_up : {false, true}) {
    const char* seed = gives_up ? "3" : "2";  // otherwise the run could end with the same weights
    Terminal terminal(folder_, HIPGPT_TRAIN_GPT,
                      to_arguments(endless({{"--ckpt-every", "0"}, {"--seed", seed}})));
    if (!terminal.there()) GTEST_SKIP() << "there are no terminals here";
    EXPECT_NE(terminal.wait_for("step "), "");
    const std::string before = read("gpt_checkpoint.bin");
    write("full", "");
    terminal.type("\x03");
    EXPECT_NE(terminal.wait_for("press Enter to try again"), "");
    if (gives_up) {
      terminal.type("\x04");  // the end of the input
    } else {
      terminal.type("\n");
      EXPECT_NE(terminal.wait_for("press Enter to try again"), "");
      fs::remove(path("full"));
      terminal.type("\n");
    }
    const int state = terminal.wait_for_end();
    EXPECT_TRUE(WIFEXITED(state));
    EXPECT_EQ(WEXITSTATUS(state), gives_up ? 1 : 130);
    EXPECT_EQ(read("gpt_checkpoint.bin") == before, gives_up);
  }
}

/// A failed save does not end a run, but the last save must not fail. So a failure is reported when it
/// happens, and again at the end.
TEST_F(LostFilesCliTest, AFolderThatIsRemovedDuringTheRunIsReported) {
  const pid_t child =
      start(HIPGPT_TRAIN_GPT, to_arguments(endless({{"--run-name", "a"}, {"--ckpt-every", "500"}})));
  EXPECT_TRUE(wait_until([&] { return trains("checkpoints/a/metrics.jsonl"); }));
  fs::remove_all(path("checkpoints/a"));
  expect_failed_saves(child, "checkpoints/a/step_");
  expect_usable();
}

TEST_F(LostFilesCliTest, AWorkingFolderThatIsRemovedDuringTheRunIsReported) {
  fs::rename(folder_, root_ / "kept");
  fs::create_directory(folder_);
  write_text();
  const pid_t child = start(HIPGPT_TRAIN_GPT, to_arguments(endless({{"--ckpt-every", "500"}})));
  EXPECT_TRUE(wait_until([&] { return trains(); }));
  fs::remove_all(folder_);
  expect_failed_saves(child, "gpt_checkpoint.bin");
  fs::rename(root_ / "kept", folder_);
  expect_usable();
}

}  // namespace
}  // namespace hipgpt
