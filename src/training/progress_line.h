// ProgressLine: what a run says on standard output while it goes on.
#pragma once

#include <chrono>
#include <string>

namespace hipgpt {

/// On a terminal: one line that is written over and over. In a pipe: a line for each permanent message,
/// nothing else.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();

  /// Shows a passing state, at most ten times a second; nothing in a pipe.
  void show(const std::string& text);

  /// True if show() would show something now.
  bool due() const;

  /// Prints a line that stays.
  void print(const std::string& text);

  /// Says on standard error, in one line, what went wrong though the run goes on.
  void warn(const std::string& text);

  bool is_terminal() const { return terminal_; }

 private:
  void erase();

  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_{};
};

/// 65 -> "1:05", 3600 -> "1:00:00".
std::string duration_text(double seconds);

/// 1234567 -> "1,234,567".
std::string grouped(long long number);

}  // namespace hipgpt
