#include "platform/emulated/fault.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "platform/emulated/block.h"
#include "platform/emulated/hip/hip_runtime.h"
#include "platform/emulated/sanitizer.h"

namespace hipgpt::emulated {

namespace {

constexpr size_t kSignalStackBytes = 64 * 1024;
constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

struct sigaction previous_actions[NSIG];

/// Allocates nothing, because signal handlers use it too.
struct Place {
  char text[600];

  Place() {
    snprintf(text, sizeof text, "kernel %.400s, block (%u,%u,%u), thread (%u,%u,%u)", current.kernel,
             blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
  }
};

void print(const char* before, const char* text, const char* after) {
  char line[1024];
  const int length = snprintf(line, sizeof line, "hip emulator: %s%s%s\n", before, text, after);
  if (write(STDERR_FILENO, line, static_cast<size_t>(length)) < 0) return;
}

/// Reports the position, then restores the previous handler and raises the signal again.
void on_signal(int number, siginfo_t* info, void*) {
  if (current.kernel != nullptr) {
    const BlockRunner* runner = BlockRunner::mine_if_any();
    const bool overflow = number != SIGFPE && runner != nullptr && runner->is_stack_overflow(info->si_addr);
    print(strsignal(number), " in ", "");
    print("", Place().text, overflow ? ": its stack is full" : "");
  }
  sigaction(number, &previous_actions[number], nullptr);
  raise(number);  // delivered when this handler returns
}

#ifdef HIPGPT_ASAN
void on_address_sanitizer_death() {
  if (current.kernel == nullptr || __asan_report_present() == 0) return;
  print("", Place().text, "");
  const BlockRunner* runner = BlockRunner::mine_if_any();
  const char* array = runner == nullptr ? nullptr : runner->shared_array_beside(__asan_get_report_address());
  if (array != nullptr) print("the address is next to shared array '", array, "'");
}
#endif

}  // namespace

void die(const std::string& message) {
  print("", message.c_str(), "");
  std::abort();
}

/// UndefinedBehaviorSanitizer calls a program's function of this name, if any, at each report.
extern "C" __attribute__((visibility("default"))) void __ubsan_on_report() {
  if (current.kernel != nullptr) print("", Place().text, "");
}

void install_fault_handlers() {
#ifdef HIPGPT_ASAN
  __sanitizer_set_death_callback(on_address_sanitizer_death);
  return;  // its own handlers report more
#endif
  for (int number : kSignals) {
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(number, &action, &previous_actions[number]);
  }
}

SignalStack::SignalStack() {
  stack_t stack{};
  if (sigaltstack(nullptr, &stack) == 0 && (stack.ss_flags & SS_DISABLE) == 0) return;  // already has one
  memory_ = mmap(nullptr, kSignalStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack.ss_sp = memory_;
  stack.ss_size = kSignalStackBytes;
  stack.ss_flags = 0;
  sigaltstack(&stack, nullptr);
}

SignalStack::~SignalStack() {
  if (memory_ == nullptr) return;
  stack_t stack{};
  stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, nullptr);
  munmap(memory_, kSignalStackBytes);
}

}  // namespace hipgpt::emulated
