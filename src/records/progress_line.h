// ProgressLine: the progress of a run on standard output.
#pragma once

#include <chrono>
#include <string>

#include "records/progress.h"

namespace hipgpt {

/// On a terminal: one line that is overwritten again and again. In a pipe: a line for each permanent message,
/// nothing else.
class ProgressLine : public Progress {
 public:
  ProgressLine();
  ~ProgressLine() override;

  /// At most ten times a second; nothing in a pipe.
  void show(const std::string& text) override;

  /// True if show() would show something now.
  bool due() const;

  void print(const std::string& text) override;

  /// One line on standard error.
  void warn(const std::string& text) override;

  bool is_terminal() const { return terminal_; }

 private:
  void erase();

  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace hipgpt
