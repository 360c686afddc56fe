#include "training/stop_signal.h"

#include <unistd.h>

#include <csignal>
#include <ctime>
#include <initializer_list>

namespace hipgpt {

namespace {

volatile std::sig_atomic_t received_signal = 0;
volatile std::sig_atomic_t save_requested = 0;
timespec received_at;  // written by the first signal, read by later ones

double seconds_since(const timespec& then) {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec - then.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec - then.tv_nsec);
}

extern "C" void on_stop_signal(int signal) {
  constexpr double kEcho = 0.1;  // seconds
  if (received_signal == 0) {
    ::clock_gettime(CLOCK_MONOTONIC, &received_at);
    received_signal = signal;
  } else if (seconds_since(received_at) > kEcho) {
    _exit(128 + signal);
  }
}

extern "C" void on_save_signal(int) {
  save_requested = 1;
}

void handle(std::initializer_list<int> signals, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int signal : signals) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;  // nohup
    ::sigaction(signal, &action, nullptr);
  }
}

void handle_stops(void (*handler)(int)) {
  handle({SIGINT, SIGTERM, SIGHUP}, handler);
}

}  // namespace

StopSignal::StopSignal() {
  received_signal = 0;
  handle_stops(on_stop_signal);
}

StopSignal::~StopSignal() {
  handle_stops(SIG_DFL);
}

int StopSignal::received() {
  return received_signal;
}

SaveSignal::SaveSignal() {
  save_requested = 0;
  handle({SIGUSR1}, on_save_signal);
}

SaveSignal::~SaveSignal() {
  handle({SIGUSR1}, SIG_DFL);
}

bool SaveSignal::take() {
  if (save_requested == 0) return false;
  save_requested = 0;
  return true;
}

}  // namespace hipgpt
