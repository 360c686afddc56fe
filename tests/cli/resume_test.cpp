// Tests of runs that are stopped, killed or damaged and then continued with --resume. Their last checkpoint
// must match, byte for byte, the checkpoint of a run that was never stopped.
#include <sys/stat.h>

#include <random>

#include "cli/checkpoint_editor.h"
#include "cli/program.h"
#include "cli/terminal.h"

namespace hipgpt {
namespace {

class ResumeCliTest : public CliTest {
 protected:
  ResumeCliTest() { write_text(); }

  /// Returns the flags of a ten-step run with everything that has state: moments, dropout, schedule, batches.
  static Flags ten_steps(Flags more = {}) {
    more.merge(Flags{{"--steps", "10"},
                     {"--warmup-steps", "3"},
                     {"--dropout", "0.1"},
                     {"--grad-accum", "2"},
                     {"--ckpt-every", "2"},
                     {"--eval-every", "4"}});
    return small(std::move(more));
  }

  /// Returns the flags of a run that takes much longer than any test.
  static Flags endless(Flags more = {}) {
    more.merge(Flags{{"--steps", "100000000"}, {"--ckpt-every", "50"}, {"--eval-every", "0"}});
    return small(std::move(more));
  }

  static Arguments resuming(const Flags& flags) {
    Arguments arguments = to_arguments(flags);
    arguments.push_back("--resume");
    return arguments;
  }

  /// The two files that an undisturbed run leaves.
  struct Trained {
    std::string weights, optimizer;
    bool operator==(const Trained&) const = default;
  };
  Trained trained(const std::string& run_name = "") const {
    if (run_name.empty()) return {read("gpt_checkpoint.bin"), read("gpt_checkpoint.optimizer.bin")};
    return {read("checkpoints/" + run_name + "/latest.bin"),
            read("checkpoints/" + run_name + "/step_10.optimizer.bin")};
  }
  Trained never_stopped(const Flags& flags) const {
    EXPECT_TRUE(succeeds(train_gpt(to_arguments(flags))));
    Trained result = trained(run_name(flags));
    EXPECT_FALSE(result.weights.empty());
    EXPECT_FALSE(result.optimizer.empty());
    clear();
    return result;
  }

  static std::string run_name(const Flags& flags) {
    const auto found = flags.find("--run-name");
    return found == flags.end() ? "" : found->second;
  }

  /// Removes everything except the text from the folder.
  void clear() const {
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.path().filename() != "text.txt") fs::remove_all(entry.path());
    }
  }

  void wait_for(const std::string& name) const {
    for (int i = 0; i < 30000 && !exists(name); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(exists(name));
  }

  void flip_a_bit(const std::string& name) const {
    std::string bytes = read(name);
    bytes[bytes.size() / 2] ^= 4;
    write(name, bytes);
  }

  bool anything_half_written() const {
    const auto files = snapshot();
    return std::any_of(files.begin(), files.end(),
                       [](const auto& file) { return file.first.find(".tmp-") != std::string::npos; });
  }
};

// ---- Resuming

TEST_F(ResumeCliTest, GoesOnWithTheFlagsOfTheRunThatWasStopped) {
  const Trained straight = never_stopped(ten_steps());
  // Keeps only the checkpoint before the last one, as if the run had been stopped after it.
  ASSERT_EQ(train_gpt(to_arguments(ten_steps({{"--steps", "10"}}))).status, 0);
  for (const char* name : {"gpt_checkpoint", "gpt_checkpoint.optimizer"}) {
    fs::rename(path(std::string(name).insert(14, ".previous") + ".bin"), path(std::string(name) + ".bin"));
  }
  const Result result = train_gpt({"--resume"});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("after step 8"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("--dropout=0.1"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("--threads"), std::string::npos) << result.out;  // the next machine may differ
  EXPECT_TRUE(trained() == straight);
}

TEST_F(ResumeCliTest, ContinuesInTheTypeOfTheRun) {
  const Trained straight = never_stopped(ten_steps({{"--dtype", "bf16"}}));
  EXPECT_FALSE(never_stopped(ten_steps()) == straight);
  ASSERT_EQ(train_gpt(to_arguments(ten_steps({{"--dtype", "bf16"}}))).status, 0);
  for (const char* name : {"gpt_checkpoint", "gpt_checkpoint.optimizer"}) {
    fs::rename(path(std::string(name).insert(14, ".previous") + ".bin"), path(std::string(name) + ".bin"));
  }
  const Result result = train_gpt({"--resume"});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find(", bf16"), std::string::npos) << result.out;
  EXPECT_TRUE(trained() == straight);
}

TEST_F(ResumeCliTest, WithoutACheckpointItStartsFromScratch) {
  const Trained straight = never_stopped(ten_steps());
  const Result result = train_gpt(resuming(ten_steps()));
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("no checkpoint yet"), std::string::npos) << result.out;
  EXPECT_TRUE(trained() == straight);
}

TEST_F(ResumeCliTest, ARunKilledBeforeItsFirstCheckpointStartsAgainWithItsFlags) {
  const Trained straight = never_stopped(ten_steps({{"--ckpt-every", "0"}}));
  const pid_t child = start(HIPGPT_TRAIN_GPT, to_arguments(endless({{"--ckpt-every", "0"}})));
  wait_for("metrics.jsonl");
  while (read("metrics.jsonl").find('\n') == std::string::npos) std::this_thread::yield();
  ::kill(child, SIGKILL);
  finish(child);
  const Flags rest = {{"--steps", "10"},
                      {"--warmup-steps", "3"},
                      {"--dropout", "0.1"},
                      {"--grad-accum", "2"},
                      {"--eval-every", "4"}};
  ASSERT_TRUE(succeeds(train_gpt(resuming(rest))));
  EXPECT_TRUE(trained().weights == straight.weights);
}

TEST_F(ResumeCliTest, AVocabularySmallerThanRequestedIsAccepted) {
  write("text.txt", "a small text that has only a few words, a few words and a small text, a few words");
  ASSERT_TRUE(succeeds(train({{"--vocab-size", "5000"}, {"--val-fraction", "0"}})));
  EXPECT_TRUE(succeeds(train_gpt({"--resume", "--steps", "6"})));
}

TEST_F(ResumeCliTest, AnOlderRunIsNotContinuedWithTheFlagsOfANewerOne) {
  ASSERT_TRUE(succeeds(train({{"--seed", "1"}})));
  ASSERT_TRUE(succeeds(train({{"--seed", "2"}})));
  flip_a_bit("gpt_checkpoint.bin");
  const auto before = snapshot();
  const Result result = train_gpt({"--resume", "--steps", "6"});
  EXPECT_EQ(result.status, 1) << result;
  EXPECT_NE(last_line(result.err).find("from another run"), std::string::npos) << result.err;
  EXPECT_TRUE(same_files(before, snapshot()));
}

TEST_F(ResumeCliTest, RecordsOfAnotherRunInTheFolderAreNotTakenOver) {
  ASSERT_TRUE(succeeds(train({{"--run-name", "a"}})));
  ASSERT_TRUE(succeeds(train({{"--log-every", "1"}})));
  ASSERT_TRUE(succeeds(train({{"--ckpt", "checkpoints/a/latest.bin"}, {"--steps", "6"}})));
  EXPECT_EQ(read("metrics.jsonl").find("\"step\":2,"), std::string::npos) << read("metrics.jsonl");
}

TEST_F(ResumeCliTest, AFinishedRunStaysUnchanged) {
  ASSERT_TRUE(succeeds(train_gpt(to_arguments(ten_steps()))));
  const auto before = snapshot();
  const Result result = train_gpt({"--resume"});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("done"), std::string::npos) << result.out;
  EXPECT_TRUE(same_files(before, snapshot()));
}

TEST_F(ResumeCliTest, MoreStepsMayBeAskedFor) {
  ASSERT_TRUE(succeeds(train_gpt(to_arguments(ten_steps()))));
  const Result result = train_gpt({"--resume", "--steps", "12"});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("step    12/12"), std::string::npos) << result.out;
  EXPECT_TRUE(refuses(train_gpt({"--resume", "--steps", "11"}), "--steps"));
}

TEST_F(ResumeCliTest, AnotherTextIsRefusedAndChangesNothing) {
  ASSERT_TRUE(succeeds(train_gpt(to_arguments(ten_steps()))));
  write("text.txt", sample_text(1000, 5));
  EXPECT_REFUSED(train_gpt({"--resume", "--steps", "12"}), "another text");
  EXPECT_TRUE(succeeds(train_gpt({"--ckpt", "gpt_checkpoint.bin", "--steps", "12"})));
}

TEST_F(ResumeCliTest, ResumeExcludesAnotherCheckpointAndANewTokenizer) {
  ASSERT_TRUE(succeeds(train_gpt(to_arguments(ten_steps()))));
  EXPECT_REFUSED(train_gpt({"--resume", "--reset"}), "--reset");
  EXPECT_EQ(train_gpt({"--resume", "--ckpt", "gpt_checkpoint.bin"}).status, 2);
}

/// Older versions drew other sequences for the micro-batches of a step, so that run cannot be continued
/// exactly.
TEST_F(ResumeCliTest, ARunOfAnOlderVersionWithSeveralBatchesPerStepIsNotResumedSilently) {
  for (const char* parts : {"2", "1"}) {
    clear();
    ASSERT_TRUE(succeeds(train({{"--grad-accum", parts}})));
    EditableCheckpoint old(path("gpt_checkpoint.optimizer.bin"));
    ASSERT_EQ(old.metadata.erase("batches"), 1u);
    old.save(path("gpt_checkpoint.optimizer.bin"));
    const Flags more = {{"--grad-accum", parts}, {"--steps", "6"}};
    if (parts[0] == '2') {
      EXPECT_REFUSED(train(more, {"--resume"}), "is from an older version");
      Flags continued = more;
      continued["--ckpt"] = "gpt_checkpoint.bin";
      const Result result = train(continued);
      EXPECT_TRUE(succeeds(result));
      EXPECT_NE(result.err.find("drew other sequences"), std::string::npos) << result;
      EXPECT_EQ(train({{"--grad-accum", "2"}, {"--steps", "8"}}, {"--resume"}).err, "");
    } else {
      const Result result = train(more, {"--resume"});  // the same batches, of four sequences
      EXPECT_TRUE(succeeds(result));
      EXPECT_NE(result.err.find("validation losses are of other tokens"), std::string::npos) << result;
    }
  }
}

// ---- Damage

TEST_F(ResumeCliTest, ADamagedCheckpointIsReportedAndThePreviousOneUsed) {
  for (const Flags& more : {Flags{}, Flags{{"--run-name", "a"}}}) {
    clear();
    const Flags flags = ten_steps(more);
    const Trained straight = never_stopped(flags);
    const std::string name = run_name(flags);
    const std::string newest = name.empty() ? "gpt_checkpoint" : "checkpoints/a/step_10";
    for (const char* ending : {".bin", ".optimizer.bin"}) {
      clear();
      ASSERT_TRUE(succeeds(train_gpt(to_arguments(flags))));
      flip_a_bit(newest + ending);
      const Result result = train_gpt(resuming(flags));
      ASSERT_TRUE(succeeds(result));
      EXPECT_NE(result.err.find(newest + ending + ": damaged"), std::string::npos) << result.err;
      EXPECT_NE(result.out.find("after step 8"), std::string::npos) << result.out;
      EXPECT_TRUE(trained(name) == straight);
    }
  }
}

TEST_F(ResumeCliTest, GenerateNamesThePreviousCheckpointOfADamagedOne) {
  ASSERT_TRUE(succeeds(train_gpt(to_arguments(ten_steps()))));
  flip_a_bit("gpt_checkpoint.bin");
  EXPECT_REFUSED(generate({"--prompt", "the"}),
                 "the previous checkpoint: --ckpt gpt_checkpoint.previous.bin");
  EXPECT_TRUE(succeeds(generate({"--prompt", "the", "--ckpt", "gpt_checkpoint.previous.bin"})));
}

TEST_F(ResumeCliTest, IfAllCheckpointsAreDamagedNothingIsTouched) {
  ASSERT_TRUE(succeeds(train_gpt(to_arguments(ten_steps()))));
  flip_a_bit("gpt_checkpoint.bin");
  flip_a_bit("gpt_checkpoint.previous.optimizer.bin");
  const auto before = snapshot();
  const Result result = train_gpt(resuming(ten_steps()));
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(last_line(result.err).find("--resume: no checkpoint here"), std::string::npos) << result.err;
  EXPECT_TRUE(same_files(before, snapshot()));
}

// ---- One at a time

TEST_F(ResumeCliTest, AFolderTakesOneTrainingAtATime) {
  const pid_t first =
      start(HIPGPT_TRAIN_GPT, to_arguments(endless({{"--run-name", "a"}})), Stdout::kClosed, Stderr::kClosed);
  wait_for("checkpoints/a/metrics.jsonl");
  EXPECT_TRUE(refuses(train({{"--run-name", "a"}}), "another train_gpt"));
  EXPECT_TRUE(succeeds(train({{"--run-name", "b"}})));
  ::kill(first, SIGKILL);
  finish(first, Stdout::kClosed, Stderr::kClosed);
  EXPECT_TRUE(succeeds(train({{"--run-name", "a"}})));  // a lock does not outlive its holder
}

// ---- Signals

TEST_F(ResumeCliTest, ASignalFinishesTheStepSavesAndReportsIt) {
  for (const auto& [signal, status] : {std::pair{SIGINT, 130}, {SIGTERM, 143}, {SIGHUP, 129}}) {
    clear();
    const pid_t child = start(HIPGPT_TRAIN_GPT, to_arguments(endless()));
    wait_for("metrics.jsonl");
    ::kill(child, signal);
    const Result result = finish(child);
    EXPECT_EQ(result.status, status) << result;
    EXPECT_EQ(result.err, "");
    EXPECT_NE(last_line(result.out).find("--resume continues"), std::string::npos) << result.out;
    EXPECT_NE(read("report.md").find(" of 100,000,000: stopped early |"), std::string::npos);
    EXPECT_FALSE(anything_half_written());
    EXPECT_TRUE(succeeds(generate({"--prompt", "the king"})));
    const Result more = train_gpt({"--resume", "--steps", "1"});
    EXPECT_TRUE(more.status == 0 || refuses(more, "--steps")) << more;  // it stopped at step 1 or later
  }
}

TEST_F(ResumeCliTest, ASecondSignalAsksAndAThirdExitsAtOnce) {
  // One step takes minutes.
  const Flags slow = endless({{"--dim", "256"}, {"--ff", "8192"}, {"--batch", "4096"}, {"--seq", "32"}});
  const pid_t child = start(HIPGPT_TRAIN_GPT, to_arguments(slow));
  wait_for("metrics.jsonl");
  const auto before = std::chrono::steady_clock::now();
  const auto printed = [&](const char* words) {
    for (int i = 0; i < 10000 && read_file(root_ / "stdout").find(words) == std::string::npos; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return read_file(root_ / "stdout").find(words) != std::string::npos;
  };
  ::kill(child, SIGINT);
  ::kill(child, SIGINT);  // too soon to count as a second request
  EXPECT_TRUE(printed("\nstopping   after the current batch, then saving\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_FALSE(read_file(root_ / "stdout").find("once more") != std::string::npos);
  ::kill(child, SIGINT);
  EXPECT_TRUE(printed("is not saved yet; once more gives it up\n"));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0);
  ::kill(child, SIGINT);
  const Result result = finish(child);
  EXPECT_EQ(result.status, 130) << result;
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(20));
  EXPECT_FALSE(exists("gpt_checkpoint.bin"));
}

/// The current step is abandoned after its micro-batch, and the resumed run does all of it again.
TEST_F(ResumeCliTest, ASignalDoesNotWaitForTheOtherMicroBatchesOfAStep) {
#ifdef HIPGPT_SANITIZED
  const char* const micro_batches = "4";  // each takes ten times as long
#else
  const char* const micro_batches = "32";
#endif
  const Flags steps = {
      {"--dim", "128"},     {"--seq", "32"},  {"--batch", "32"},    {"--grad-accum", micro_batches},
      {"--log-every", "1"}, {"--steps", "3"}, {"--ckpt-every", "0"}};
  const Trained straight = never_stopped(small(steps));
  const pid_t child = start(HIPGPT_TRAIN_GPT, to_arguments(small(steps)));
  for (int i = 0; i < 30000 && read("metrics.jsonl").find("\"loss\"") == std::string::npos; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(child, SIGINT);
  const Result result = finish(child);
  EXPECT_EQ(result.status, 130) << result;
  EXPECT_NE(result.out.find(" of step 1; --resume continues"), std::string::npos) << result;
  EXPECT_EQ(read("metrics.jsonl").find("\"step\":1,"), read("metrics.jsonl").rfind("\"step\":1,"));
  ASSERT_TRUE(succeeds(train_gpt({"--resume"})));
  EXPECT_TRUE(trained() == straight);
}

TEST_F(ResumeCliTest, ALongStepShowsItsMicroBatchesAndCanBeStoppedWithinTheFirst) {
  Terminal terminal(folder_, HIPGPT_TRAIN_GPT,
                    to_arguments(endless({{"--dim", "128"}, {"--batch", "32"}, {"--grad-accum", "100000"}})));
  if (!terminal.there()) GTEST_SKIP() << "there are no terminals here";
  EXPECT_NE(terminal.wait_for("/100000, "), "");
  terminal.type("\x03");
  EXPECT_NE(terminal.wait_for("there is nothing to save"), "");
  const int state = terminal.wait_for_end();
  EXPECT_TRUE(WIFEXITED(state));
  EXPECT_EQ(WEXITSTATUS(state), 130);
}

TEST_F(ResumeCliTest, SIGUSR1SavesAndTheRunContinues) {
  const pid_t child = start(HIPGPT_TRAIN_GPT, to_arguments(endless({{"--ckpt-every", "0"}})));
  wait_for("metrics.jsonl");
  ::kill(child, SIGUSR1);
  wait_for("gpt_checkpoint.bin");
  EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0);
  ::kill(child, SIGKILL);
  const Result result = finish(child);
  EXPECT_NE(result.out.find(", as SIGUSR1 asks\n"), std::string::npos) << result;
  EXPECT_TRUE(succeeds(generate({"--prompt", "the king"})));
}

// ---- Killed

/// Runs train_gpt with a preloaded library that sees every call that changes files.
class WatchedCallsTest : public ResumeCliTest {
 protected:
  static void set(const char* variable, const std::string& value) { ::setenv(variable, value.c_str(), 1); }

  Result train_with(const char* library, const char* variable, const std::string& value,
                    const Arguments& arguments) const {
    const Preloaded preloaded(library, variable, value);
    return train_gpt(arguments);
  }
};

/// Kills a run at every call that changes files, one after the other.
class KilledAtACallTest : public WatchedCallsTest {
 protected:
  Result killed_at(int call, const Arguments& arguments) const {
    return train_with(HIPGPT_DISK_FAULTS, "HIPGPT_KILL_AT", std::to_string(call), arguments);
  }

  /// Makes every call, or every `stride`-th one, the last call of some run. Returns the number of calls.
  int kill_at_every_call(const Flags& flags, int stride) const {
    const Trained straight = never_stopped(flags);
    for (int call = 1;; call += stride) {
      clear();
      const Result killed = killed_at(call, to_arguments(flags));
      if (killed.status == 0) return call;
      EXPECT_EQ(killed.signal, SIGKILL) << killed;
      EXPECT_TRUE(succeeds(train_gpt(resuming(flags)))) << "killed at call " << call;
      EXPECT_TRUE(trained(run_name(flags)) == straight) << "killed at call " << call;
      EXPECT_FALSE(anything_half_written()) << "killed at call " << call;
      if (HasFailure()) return 0;
    }
  }
};

TEST_F(KilledAtACallTest, AnUnnamedRun) {
  const Flags flags = ten_steps({{"--steps", "6"}});
  EXPECT_GT(kill_at_every_call(flags, 1), 40);
}

TEST_F(KilledAtACallTest, AnUnnamedRunWhereAFileHasOneName) {
  set("HIPGPT_NO_LINKS", "1");
  EXPECT_GT(kill_at_every_call(ten_steps({{"--steps", "6"}}), 1), 40);
  ::unsetenv("HIPGPT_NO_LINKS");
}

TEST_F(KilledAtACallTest, ANamedRun) {
  const Flags flags = ten_steps({{"--run-name", "a"}, {"--keep-last", "2"}});
  EXPECT_GT(kill_at_every_call(flags, 3), 40);
}

TEST_F(KilledAtACallTest, ARunOverAnOlderOneLeavesOneOfThemUsable) {
  ASSERT_TRUE(succeeds(train({{"--vocab-size", "290"}})));
  const auto older = snapshot();
  for (int call = 1;; ++call) {
    clear();
    for (const auto& [name, bytes] : older) write(name, bytes);
    if (killed_at(call, to_arguments(ten_steps({{"--steps", "2"}}))).status == 0) break;
    const bool usable = generate({"--prompt", "the"}).status == 0 ||
                        generate({"--prompt", "the", "--ckpt", "gpt_checkpoint.previous.bin"}).status == 0;
    EXPECT_TRUE(usable) << "killed at call " << call;
  }
}

// ---- Power failures

/// A power failure loses what was not synced, and may keep a rename but lose the contents of the file. So
/// every file must be on the disk before it takes its name, and the name before anything else happens.
class SyncTest : public WatchedCallsTest {
 protected:
  struct Call {
    std::string what, inode, name;
  };

  /// Returns the calls of a run, in order.
  std::vector<Call> calls_of(const Flags& flags) const {
    const fs::path log = root_ / "calls";
    fs::remove(log);
    EXPECT_TRUE(
        succeeds(train_with(HIPGPT_LOG_CALLS, "HIPGPT_LOG_CALLS", log.string(), to_arguments(flags))));
    std::vector<Call> calls;
    std::ifstream lines(log);
    for (Call call; lines >> call.what >> call.inode >> call.name;) calls.push_back(call);
    return calls;
  }

  /// Returns the inode of a file or folder, as the log records it.
  std::string inode_of(const std::string& name) const {
    struct stat status = {};
    EXPECT_EQ(::stat(path(name).c_str(), &status), 0) << name;
    return std::to_string(status.st_ino);
  }

  /// Counts how often a file of this run took the name. Checks that each was synced before, and its folder
  /// after.
  int count_synced_renames(const std::vector<Call>& calls, const fs::path& name) const {
    const std::string folder = inode_of(name.parent_path());
    int count = 0;
    for (size_t i = 0; i < calls.size(); ++i) {
      if (calls[i].what != "rename" || calls[i].name != name.filename()) continue;
      ++count;
      size_t last = i;  // the previous call on this file
      while (last > 0 && calls[--last].inode != calls[i].inode) continue;
      EXPECT_EQ(calls[last].what, "fsync") << name << ": not synced before its rename";
      while (last > 0 && (calls[last].inode != calls[i].inode || calls[last].what != "write")) --last;
      EXPECT_EQ(calls[last].what, "write") << name << ": the log lacks its writes";
      const bool folder_follows =
          i + 1 < calls.size() && calls[i + 1].what == "fsync" && calls[i + 1].inode == folder;
      EXPECT_TRUE(folder_follows) << name << ": its folder is not synced after its rename";
    }
    return count;
  }
};

TEST_F(SyncTest, EveryFileIsOnTheDiskBeforeItTakesItsName) {
  write("val.txt", sample_text(300, 7));
  const Flags more = {{"--ckpt-every", "5"}, {"--val-data-path", "val.txt"}};
  const auto calls = calls_of(ten_steps(more));
  for (const char* once : {"tokens.bin", "val_tokens.bin", "tokenizer.json"})
    EXPECT_EQ(count_synced_renames(calls, once), 1) << once;
  for (const char* twice : {"gpt_checkpoint.bin", "gpt_checkpoint.optimizer.bin"})
    EXPECT_EQ(count_synced_renames(calls, twice), 2) << twice;
}

TEST_F(SyncTest, EveryFileOfANamedRunIsOnTheDiskBeforeItTakesItsName) {
  const auto calls = calls_of(ten_steps({{"--run-name", "a"}, {"--ckpt-every", "5"}}));
  for (const char* name : {"tokens.bin", "tokenizer.json", "step_5.bin", "step_5.optimizer.bin",
                           "step_10.bin", "step_10.optimizer.bin"})
    EXPECT_EQ(count_synced_renames(calls, fs::path("checkpoints/a") / name), 1) << name;
}

TEST_F(ResumeCliTest, KilledAtRandomMoments) {
  // HIPGPT_KILLS is the number of runs to kill. Each run is killed up to three times before it may end.
  const char* asked = std::getenv("HIPGPT_KILLS");
  const int runs = asked == nullptr ? 6 : std::atoi(asked);
  std::mt19937 random(1);
  for (const Flags& more : {Flags{}, Flags{{"--run-name", "a"}, {"--keep-last", "2"}}}) {
    Flags flags = ten_steps(more);
    flags["--ckpt-every"] = "1";
    clear();
    const auto begin = std::chrono::steady_clock::now();
    const Trained straight = never_stopped(flags);
    const auto took = std::chrono::steady_clock::now() - begin;
    for (int run = 0; run < runs / 2; ++run) {
      clear();
      for (int kills = 1 + static_cast<int>(random() % 3); kills > 0; --kills) {
        const pid_t child = start(HIPGPT_TRAIN_GPT, resuming(flags), Stdout::kClosed, Stderr::kClosed);
        std::this_thread::sleep_for(took * (random() % 1000) / 1000);
        ::kill(child, SIGKILL);
        finish(child, Stdout::kClosed, Stderr::kClosed);
      }
      ASSERT_TRUE(succeeds(train_gpt(resuming(flags)))) << "run " << run;
      ASSERT_TRUE(trained(run_name(flags)) == straight) << "run " << run;
      ASSERT_FALSE(anything_half_written()) << "run " << run;
    }
  }
}

}  // namespace
}  // namespace hipgpt
