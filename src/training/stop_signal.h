// The signals that a run obeys. StopSignal: requests to end it, from the terminal (SIGINT, or SIGHUP when it
// closes) or the system (SIGTERM). SaveSignal: a request to save and continue (SIGUSR1).
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

/// During its lifetime, SIGUSR1 is recorded. It arrives from another process at any time, so a run catches it
/// from its start, before there is something to save.
class SaveSignal {
 public:
  SaveSignal();
  ~SaveSignal();
  SaveSignal(const SaveSignal&) = delete;
  SaveSignal& operator=(const SaveSignal&) = delete;

  /// Returns whether the signal has arrived since the last call.
  static bool take();
};

}  // namespace hipgpt
