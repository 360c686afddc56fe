// StopSignal: the wish to end a run, from the terminal (SIGINT, and SIGHUP when it is closed) or the system
// (SIGTERM).
#pragma once

namespace hipgpt {

/// While it lives, the first signal only asks: received() is its number. A second one ends the process at
/// once, with the exit status that a shell gives to a process that such a signal has ended, 128 + number.
/// What follows the first within a tenth of a second is its echo: a terminal that is closed sends SIGHUP
/// twice.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// 0: none.
  static int received();
};

}  // namespace hipgpt
