#include "training/progress_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "util/print_error.h"
#include "util/terminal.h"

namespace hipgpt {

namespace {

constexpr const char* kErase = "\r\033[K";

size_t terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// A run continues when nobody can watch it: failures to write are ignored, and so is SIGPIPE.

/// Escape sequences of our own, which a terminal is to obey.
void control(const char* sequence) {
  std::fputs(sequence, stdout);
  std::fflush(stdout);
}

}  // namespace

ProgressLine::ProgressLine() : terminal_(hipgpt::is_terminal(stdout)) {
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
  control(kErase);
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

void ProgressLine::erase() {
  if (shown_) control(kErase);
  shown_ = false;
}

std::string duration_text(double seconds) {
  const auto s = static_cast<long long>(std::lround(std::max(0.0, seconds)));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string grouped(long long number) {
  const auto magnitude = static_cast<unsigned long long>(number);
  const std::string digits = std::to_string(number < 0 ? 0 - magnitude : magnitude);
  std::string text = number < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace hipgpt
