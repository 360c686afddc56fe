// generate --interactive: in a pipe, and in a terminal.
#include <poll.h>
#include <sys/ioctl.h>

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
  ASSERT_EQ(lines.size(), 3u);  // an empty line is none
  EXPECT_EQ(lines.at(0), drawn.at(0));
  EXPECT_EQ(lines.at(1).at("prompt"), "hills");
  EXPECT_EQ(lines.at(2), drawn.at(2));  // the same line gives another text, that of the next sample
  EXPECT_EQ(result.err.find("> "), std::string::npos);

  const Result text = generate_reading("the king\n", {"--interactive", "--num-tokens", "5", "--seed", "1"});
  EXPECT_EQ(text.out, generate({"--prompt", "the king", "--num-tokens", "5", "--seed", "1"}).out);
  EXPECT_EQ(generate_reading("", {"--interactive"}).out, "");
}

/// A program whose standard streams are a terminal.
class Terminal {
 public:
  Terminal(const fs::path& folder, std::vector<std::string> arguments) {
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || ::grantpt(terminal) != 0 || ::unlockpt(terminal) != 0) {
      if (terminal >= 0) ::close(terminal);
      return;
    }
    const std::string name = ::ptsname(terminal);
    child_ = ::fork();
    if (child_ == 0) become(folder, name, arguments);
    terminal_ = terminal;
  }
  ~Terminal() {
    if (terminal_ < 0) return;
    if (!ended_) ::kill(child_, SIGKILL);
    if (!ended_) ::waitpid(child_, nullptr, 0);
    ::close(terminal_);
  }

  bool there() const { return terminal_ >= 0; }

  void type(std::string_view keys) {
    EXPECT_EQ(::write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }

  /// Everything it says from here on until it has said `words`, or "" if it does not say them for a minute.
  std::string wait_for(const std::string& words) {
    std::string said;
    char byte;
    pollfd waiting{terminal_, POLLIN, 0};
    while (said.find(words) == std::string::npos) {
      if (::poll(&waiting, 1, 60000) <= 0 || ::read(terminal_, &byte, 1) != 1) return "";
      said += byte;
    }
    return said;
  }

  /// The state that waitpid() gives; what is still said is read, since it may wait for that.
  int wait_for_end() {
    wait_for("what it will never say");
    int state = 0;
    ::waitpid(child_, &state, 0);
    ended_ = true;
    return state;
  }

 private:
  [[noreturn]] static void become(const fs::path& folder, const std::string& terminal,
                                  const std::vector<std::string>& arguments) {
    ::setsid();  // or Ctrl-C would have nobody to go to
    const int slave = ::open(terminal.c_str(), O_RDWR);
    if (slave < 0 || ::ioctl(slave, TIOCSCTTY, 0) != 0 || ::chdir(folder.c_str()) != 0) ::_exit(126);
    for (int stream = 0; stream < 3; ++stream) ::dup2(slave, stream);
    std::vector<char*> argv = {const_cast<char*>(HIPGPT_GENERATE)};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(HIPGPT_GENERATE, argv.data());
    ::_exit(127);
  }

  int terminal_ = -1;
  pid_t child_ = -1;
  bool ended_ = false;
};

TEST_F(InteractiveCliTest, InATerminalCtrlCEndsAContinuationAndCtrlDTheProgram) {
  Terminal terminal(folder_, {"--interactive", "--num-tokens", "1000000000", "--eos-id", "1"});
  if (!terminal.there()) GTEST_SKIP() << "no terminals here";
  ASSERT_NE(terminal.wait_for("> "), "");
  for (const char* line : {"the king", "hills"}) {
    terminal.type(std::string(line) + "\n");
    ASSERT_NE(terminal.wait_for(std::string(line) + "\r\n"), "");  // as it was typed
    ASSERT_NE(terminal.wait_for(line), "");                        // and with its continuation
    terminal.type("\x03");
    ASSERT_NE(terminal.wait_for("\n> "), "");
  }
  terminal.type("\x04");
  const int state = terminal.wait_for_end();
  EXPECT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == 0) << state;
}

TEST_F(InteractiveCliTest, InATerminalCtrlCEndsAProgramThatWaitsForALine) {
  Terminal terminal(folder_, {"--interactive"});
  if (!terminal.there()) GTEST_SKIP() << "no terminals here";
  ASSERT_NE(terminal.wait_for("> "), "");
  terminal.type("\x03");
  const int state = terminal.wait_for_end();
  EXPECT_TRUE(WIFSIGNALED(state) && WTERMSIG(state) == SIGINT) << state;
}

TEST_F(InteractiveCliTest, ATerminalWithoutAPromptIsToldTheChoices) {
  Terminal terminal(folder_, {});
  if (!terminal.there()) GTEST_SKIP() << "no terminals here";
  EXPECT_NE(terminal.wait_for("--export DIR\r\n"), "");
  const int state = terminal.wait_for_end();
  EXPECT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == 1) << state;
}

}  // namespace
}  // namespace hipgpt
