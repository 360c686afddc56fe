// StopSignal: catches requests to end a run, from the terminal (SIGINT, or SIGHUP when it closes) or the
// system (SIGTERM).
#pragma once

namespace hipgpt {

/// During its lifetime, the first signal is only recorded: received() returns its number. A second one ends
/// the process at once with exit status 128 + number, as a shell reports for that signal. A signal within a
/// tenth of a second of the first is ignored because a closing terminal sends SIGHUP twice.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// Returns the number of the signal, or 0 if none has arrived.
  static int received();
};

}  // namespace hipgpt
