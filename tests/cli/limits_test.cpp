// Tests of endless or too long input, and of too little memory: the programs exit by themselves, with one
// line.
#include "cli/trained.h"
#include "util/limited_input.h"

namespace hipgpt {
namespace {

class LimitsCliTest : public TrainedCliTest {
 protected:
  /// Writes a sparse file of this many zeros, which takes no disk space.
  void write_sparse(const std::string& name, uintmax_t size) const {
    write(name, "");
    fs::resize_file(path(name), size);
  }
};

TEST_F(LimitsCliTest, AFileThatIsReadWholeHasALimit) {
  write_sparse("long", kLongestInput + 1);
  for (const char* flag : {"--config", "--prompt-file", "--prompts"}) {
    const Result result = generate({flag, "long"});
    EXPECT_TRUE(refuses(result, "long: ")) << flag;
    EXPECT_TRUE(refuses(result, "1 GiB")) << flag;
  }
  EXPECT_TRUE(refuses(train_gpt({"--config", "long"}), "1 GiB"));
}

TEST_F(LimitsCliTest, TheLimitIsInHelp) {
  for (const char* program : {HIPGPT_TRAIN_GPT, HIPGPT_GENERATE})
    EXPECT_NE(run(program, {"--help"}).out.find("1 GiB"), std::string::npos);
}

#ifndef HIPGPT_SANITIZED  // a sanitizer needs address space of its own

TEST_F(LimitsCliTest, EndlessInputRunsOutOfMemory) {
  addresses_ = 600 << 20;
  EXPECT_TRUE(refuses(generate({"--config", "/dev/zero"}), "out of memory"));
  EXPECT_TRUE(refuses(train_gpt({"--config", "/dev/zero"}), "out of memory"));
  EXPECT_TRUE(refuses(run("/bin/bash", {"-c", "exec '" HIPGPT_GENERATE "' </dev/zero"}), "out of memory"));
  const Result line =
      run("/bin/bash", {"-c", "exec '" HIPGPT_GENERATE "' --interactive --threads 1 </dev/zero"});
  EXPECT_EQ(line.status, 1) << line;
  EXPECT_EQ(last_line(line.err), "generate: out of memory") << line;
}

TEST_F(LimitsCliTest, TooLittleAddressSpaceEndsAProgramInOneLine) {
  int refused = 0, done = 0;
  const auto expect_end = [&](const Result& result) {
    (result.status == 0 ? done : refused) += 1;
    EXPECT_EQ(result.signal, 0) << addresses_ << " bytes: " << result;
    if (result.status != 0) {
      EXPECT_EQ(lines_of(result.err).size(), 1u) << addresses_ << " bytes: " << result;
    }
  };
  // With less, the libraries cannot be loaded, and the line comes from the loader.
  for (uint64_t kilobytes = 60'000; kilobytes < 1'200'000; kilobytes += kilobytes / 5) {
    addresses_ = kilobytes << 10;
    for (const char* threads : {"0", "1", "3"}) {
      expect_end(train({{"--threads", threads}}, {"--reset"}));
      expect_end(generate({"--prompt", "the king", "--num-tokens", "3", "--threads", threads}));
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(done, 0);
}

#endif

}  // namespace
}  // namespace hipgpt
