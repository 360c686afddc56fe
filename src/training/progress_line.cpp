#include "training/progress_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "util/print_error.h"

namespace hipgpt {

namespace {

size_t terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// A run goes on when nobody can watch it: failures are ignored, and so is SIGPIPE.
void write_out(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

ProgressLine::ProgressLine() : terminal_(isatty(STDOUT_FILENO) == 1) {
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
  write_out("\r\033[K" + text.substr(0, terminal_width() - 1));  // a wrapped line could not be erased
}

void ProgressLine::print(const std::string& text) {
  erase();
  write_out(text + "\n");
}

void ProgressLine::warn(const std::string& text) {
  erase();
  print_error("train_gpt", text);
}

void ProgressLine::erase() {
  if (shown_) write_out("\r\033[K");
  shown_ = false;
}

std::string duration_text(double seconds) {
  const auto s = static_cast<long long>(std::lround(std::max(0.0, seconds)));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string grouped(long long number) {
  const std::string digits = std::to_string(std::llabs(number));
  std::string text = number < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace hipgpt
