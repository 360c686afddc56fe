#include "generation/interactive.h"

#include <csignal>
#include <string>

#include "generation/standard_streams.h"

namespace hipgpt {

namespace {

volatile std::sig_atomic_t interrupted = 0;

/// During its lifetime the first SIGINT (Ctrl-C) sets `interrupted`, and a second one ends the program. The
/// destructor restores the previous handler.
class InterruptOnce {
 public:
  InterruptOnce() {
    interrupted = 0;
    struct sigaction action = {};
    action.sa_handler = [](int) { interrupted = 1; };
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    ::sigaction(SIGINT, &action, &before_);
  }
  ~InterruptOnce() { ::sigaction(SIGINT, &before_, nullptr); }
  InterruptOnce(const InterruptOnce&) = delete;
  InterruptOnce& operator=(const InterruptOnce&) = delete;

 private:
  struct sigaction before_ = {};
};

}  // namespace

void run_interactive(Completer& completer, int64_t samples) {
  const bool terminal = standard_input_is_a_terminal();
  std::string line;
  for (int64_t first = 0;;) {
    if (terminal) print_status("> ");
    if (!read_standard_line(line)) break;
    if (line.empty()) continue;
    const InterruptOnce guard;
    completer.complete(line, first, false, [] { return interrupted != 0; });
    first += samples;
  }
  if (terminal) print_status("\n");
}

}  // namespace hipgpt
