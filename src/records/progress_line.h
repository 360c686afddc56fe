// ProgressLine: reports the progress of a run on standard output.
#pragma once

#include <chrono>
#include <string>

#include "records/progress.h"

namespace hipgpt {

/// On a terminal it keeps overwriting one line. In a pipe it prints only the permanent messages, one per
/// line.
class ProgressLine : public Progress {
 public:
  /// `live` false: as in a pipe.
  explicit ProgressLine(bool live = true);
  ~ProgressLine() override;

  /// Updates at most ten times per second. Prints nothing in a pipe.
  void show(const std::string& text) override;

  /// Returns whether show() would print now.
  bool due() const;

  void print(const std::string& text) override;

  /// Prints one line on standard error.
  void warn(const std::string& text) override;

  bool is_terminal() const { return terminal_; }

  /// Prints one line that ends in a newline. The only function here that a signal handler may call.
  static void print_in_signal_handler(const char* line);

  /// Whether the user can answer: standard input and output are a terminal.
  bool can_ask() const;

  enum class Answer { kNone, kLine, kGone };  ///< kGone: the terminal was closed

  /// Waits up to a fifth of a second, or until a signal arrives, for a line that the user types.
  Answer answer() const;

 private:
  void erase();

  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace hipgpt
