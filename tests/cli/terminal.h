// Runs a program in a terminal, for the tests of the two programs.
#pragma once

#include <poll.h>
#include <sys/ioctl.h>

#include "cli/program.h"

namespace hipgpt {

/// A program whose standard streams are a terminal.
class Terminal {
 public:
  Terminal(const fs::path& folder, const std::string& program, const Arguments& arguments) {
    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || ::grantpt(terminal) != 0 || ::unlockpt(terminal) != 0) {
      if (terminal >= 0) ::close(terminal);
      return;
    }
    const std::string name = ::ptsname(terminal);
    child_ = ::fork();
    if (child_ == 0) become(folder, name, program, arguments);
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

  /// Returns what the program prints from now on up to `words`, or "" if it ends or prints nothing for a
  /// minute first.
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

  /// Returns what the program prints from now on until it ends or closes the terminal.
  std::string rest() {
    std::string said;
    char byte;
    pollfd waiting{terminal_, POLLIN, 0};
    while (::poll(&waiting, 1, 60000) > 0 && ::read(terminal_, &byte, 1) == 1) said += byte;
    return said;
  }

  /// Returns the status from waitpid(). Reads the remaining output first, because the program may wait for
  /// that.
  int wait_for_end() {
    rest();
    int state = 0;
    ::waitpid(child_, &state, 0);
    ended_ = true;
    return state;
  }

 private:
  [[noreturn]] static void become(const fs::path& folder, const std::string& terminal,
                                  const std::string& program, const Arguments& arguments) {
    ::setsid();  // otherwise Ctrl-C would reach no process
    const int slave = ::open(terminal.c_str(), O_RDWR);
    if (slave < 0 || ::ioctl(slave, TIOCSCTTY, 0) != 0 || ::chdir(folder.c_str()) != 0) ::_exit(126);
    for (int stream = 0; stream < 3; ++stream) ::dup2(slave, stream);
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }

  int terminal_ = -1;
  pid_t child_ = -1;
  bool ended_ = false;
};

}  // namespace hipgpt
