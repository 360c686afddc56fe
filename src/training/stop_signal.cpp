#include "training/stop_signal.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <initializer_list>

namespace hipgpt {

namespace {

volatile std::sig_atomic_t received_signal = 0, signal_count = 0;
volatile std::sig_atomic_t save_requested = 0;
std::atomic<StopSignal::Answer> answer_line = nullptr;
timespec received_at;  // written and read only in the handler

double seconds_since(const timespec& then) {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec - then.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec - then.tv_nsec);
}

extern "C" void on_stop_signal(int signal) {
  constexpr double kEcho = 0.1;  // seconds
  const int error = errno;
  if (signal_count == 0 || seconds_since(received_at) > kEcho) {
    ::clock_gettime(CLOCK_MONOTONIC, &received_at);
    if (signal_count == 2) _exit(128 + signal);
    if (signal_count == 0) received_signal = signal;
    signal_count = signal_count + 1;
    if (const StopSignal::Answer answer = answer_line) {
      answer(signal_count == 1 ? "stopping   after the current batch, then saving\n"
                               : "stopping   what was trained since the last checkpoint is not saved yet; "
                                 "once more gives it up\n");
    }
  }
  errno = error;
}

extern "C" void on_save_signal(int) {
  save_requested = 1;
}

void handle(std::initializer_list<int> signals, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  for (const int signal : signals) sigaddset(&action.sa_mask, signal);  // they share their counts
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

StopSignal::StopSignal(Answer answer) {
  received_signal = 0;
  signal_count = 0;
  answer_line = answer;
  handle_stops(on_stop_signal);
}

StopSignal::~StopSignal() {
  handle_stops(SIG_DFL);
}

int StopSignal::received() {
  return received_signal;
}

int StopSignal::count() {
  return signal_count;
}

void StopSignal::be_quiet() {
  answer_line = nullptr;
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
