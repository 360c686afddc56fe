// The signals that a run obeys. StopSignal: requests to end it, from the terminal (SIGINT, or SIGHUP when it
// closes) or the system (SIGTERM). SaveSignal: a request to save and continue (SIGUSR1).
#pragma once

namespace hipgpt {

/// During its lifetime, signals are counted, and answered in words at once, whatever the run is doing. The
/// first one asks it to stop; a second one warns that unsaved work would be lost; a third one ends the
/// process with exit status 128 + number, as a shell reports for that signal. A signal within a tenth of a
/// second of the one before is ignored because a closing terminal sends SIGHUP twice.
class StopSignal {
 public:
  /// Prints a whole line. It is called in a signal handler.
  using Answer = void (*)(const char* line);

  explicit StopSignal(Answer answer);
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// Returns the number of the first signal, or 0 if none has arrived.
  static int received();

  /// Returns how many signals have arrived.
  static int count();

  /// From now on no signal is answered, because the run itself asks the user what to do.
  static void be_quiet();
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
