// Progress: the interface through which the parts of a run report progress.
#pragma once

#include <string>

namespace hipgpt {

/// Code that reports depends on this interface; only ProgressLine knows that there is a terminal.
class Progress {
 public:
  virtual ~Progress() = default;

  /// Shows a transient state, which the next report replaces.
  virtual void show(const std::string& text) = 0;

  /// Prints a permanent line.
  virtual void print(const std::string& text) = 0;

  /// Reports a problem that does not end the run.
  virtual void warn(const std::string& text) = 0;
};

}  // namespace hipgpt
