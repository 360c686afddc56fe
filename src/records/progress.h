// Progress: where the parts of a run report what they do.
#pragma once

#include <string>

namespace hipgpt {

/// Code that reports depends on this interface; only ProgressLine knows that there is a terminal.
class Progress {
 public:
  virtual ~Progress() = default;

  /// A passing state: the next report replaces it.
  virtual void show(const std::string& text) = 0;

  /// A line that stays.
  virtual void print(const std::string& text) = 0;

  /// A problem that does not end the run.
  virtual void warn(const std::string& text) = 0;
};

}  // namespace hipgpt
