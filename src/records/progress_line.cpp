#include "records/progress_line.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "util/print_error.h"
#include "util/terminal.h"

namespace hipgpt {

namespace {

size_t terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// A run continues even if nobody can read its output, so write failures and SIGPIPE are ignored.

/// Writes one of the program's own escape sequences unescaped, so that the terminal obeys it.
void control(const char* sequence) {
  std::fputs(sequence, stdout);
  std::fflush(stdout);
}

}  // namespace

ProgressLine::ProgressLine(bool live) : terminal_(live && hipgpt::is_terminal(stdout)) {
  std::signal(SIGPIPE, SIG_IGN);
}

ProgressLine::~ProgressLine() {
  erase();
}

bool ProgressLine::due() const {
  const auto now = std::chrono::steady_clock::now();
  return terminal_ && (!shown_ || now - last_ >= std::chrono::milliseconds(100));
}

void ProgressLine::show(const std::string& text) {
  if (!due()) return;
  last_ = std::chrono::steady_clock::now();
  shown_ = true;
  control(kEraseLine);
  print_to(stdout, text.substr(0, terminal_width() - 1));  // a wrapped line could not be erased
}

void ProgressLine::print(const std::string& text) {
  erase();
  print_to(stdout, text + "\n");
}

void ProgressLine::warn(const std::string& text) {
  erase();
  print_error("train_gpt", text);
}

void ProgressLine::print_in_signal_handler(const char* line) {
  const auto write = [](const char* text) { return ::write(STDOUT_FILENO, text, std::strlen(text)) >= 0; };
  static_cast<void>((::isatty(STDOUT_FILENO) == 0 || write(kEraseLine)) && write(line));
}

bool ProgressLine::can_ask() const {
  return terminal_ && hipgpt::is_terminal(stdin);
}

ProgressLine::Answer ProgressLine::answer() const {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (::poll(&input, 1, 200) <= 0) return Answer::kNone;
  char line[256];
  return ::read(STDIN_FILENO, line, sizeof line) > 0 ? Answer::kLine : Answer::kGone;
}

void ProgressLine::erase() {
  if (shown_) control(kEraseLine);
  shown_ = false;
}

}  // namespace hipgpt
