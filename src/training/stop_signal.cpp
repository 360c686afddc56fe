#include "training/stop_signal.h"

#include <unistd.h>

#include <csignal>
#include <initializer_list>

namespace hipgpt {

namespace {

volatile std::sig_atomic_t received_signal = 0;

extern "C" void on_stop_signal(int signal) {
  if (received_signal != 0) _exit(128 + signal);
  received_signal = signal;
}

void handle(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;  // nohup
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

StopSignal::StopSignal() {
  received_signal = 0;
  handle(on_stop_signal);
}

StopSignal::~StopSignal() {
  handle(SIG_DFL);
}

int StopSignal::received() {
  return received_signal;
}

}  // namespace hipgpt
