// Tests of generate --interactive, in a pipe and in a terminal.
#include "cli/terminal.h"
#include "cli/trained.h"

namespace hipgpt {
namespace {

class InteractiveCliTest : public TrainedCliTest {};

TEST_F(InteractiveCliTest, ContinuesEveryLineOfAPipe) {
  const Arguments rest = {"--num-tokens", "5", "--seed", "1"};
  Arguments interactive = {"--interactive", "--json"},
            samples = {"--prompt", "the king", "--num-samples", "3", "--json"};
  interactive.insert(interactive.end(), rest.begin(), rest.end());
  samples.insert(samples.end(), rest.begin(), rest.end());
  const Result result = generate_reading("the king\n\nhills\nthe king", interactive);
  ASSERT_TRUE(succeeds(result));
  const auto lines = objects(result.out), drawn = objects(generate(samples).out);
  ASSERT_EQ(lines.size(), 3u);  // an empty line is not a prompt
  EXPECT_EQ(lines.at(0), drawn.at(0));
  EXPECT_EQ(lines.at(1).at("prompt"), "hills");
  EXPECT_EQ(lines.at(2), drawn.at(2));  // the same line gives another text, from the next sample
  EXPECT_EQ(result.err.find("> "), std::string::npos);

  const Result text = generate_reading("the king\n", {"--interactive", "--num-tokens", "5", "--seed", "1"});
  EXPECT_EQ(text.out, generate({"--prompt", "the king", "--num-tokens", "5", "--seed", "1"}).out);
  EXPECT_EQ(generate_reading("", {"--interactive"}).out, "");
}

TEST_F(InteractiveCliTest, InATerminalCtrlCEndsAContinuationAndCtrlDTheProgram) {
  Terminal terminal(folder_, HIPGPT_GENERATE,
                    {"--interactive", "--num-tokens", "1000000000", "--eos-id", "1"});
  if (!terminal.there()) GTEST_SKIP() << "no terminals here";
  ASSERT_NE(terminal.wait_for("> "), "");
  for (const char* line : {"the king", "hills"}) {
    terminal.type(std::string(line) + "\n");
    ASSERT_NE(terminal.wait_for(std::string(line) + "\r\n"), "");  // the echo of the typed line
    ASSERT_NE(terminal.wait_for(line), "");                        // the line with its continuation
    terminal.type("\x03");
    ASSERT_NE(terminal.wait_for("\n> "), "");
  }
  terminal.type("\x04");
  const int state = terminal.wait_for_end();
  EXPECT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == 0) << state;
}

TEST_F(InteractiveCliTest, InATerminalCtrlCEndsAProgramThatWaitsForALine) {
  Terminal terminal(folder_, HIPGPT_GENERATE, {"--interactive"});
  if (!terminal.there()) GTEST_SKIP() << "no terminals here";
  ASSERT_NE(terminal.wait_for("> "), "");
  terminal.type("\x03");
  const int state = terminal.wait_for_end();
  EXPECT_TRUE(WIFSIGNALED(state) && WTERMSIG(state) == SIGINT) << state;
}

TEST_F(InteractiveCliTest, WithoutAPromptATerminalShowsTheChoices) {
  Terminal terminal(folder_, HIPGPT_GENERATE, {});
  if (!terminal.there()) GTEST_SKIP() << "no terminals here";
  EXPECT_NE(terminal.wait_for("--export DIR\r\n"), "");
  const int state = terminal.wait_for_end();
  EXPECT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == 1) << state;
}

}  // namespace
}  // namespace hipgpt
