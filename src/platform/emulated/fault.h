// Reports what went wrong in a kernel, and where.
#pragma once

#include <string>

namespace hipgpt::emulated {

/// Prints one line on stderr and aborts the process, so that a debugger stops there.
[[noreturn]] void die(const std::string& message);

/// After this call, a fault on any thread and any sanitizer report name the position in the kernel.
void install_fault_handlers();

/// A stack for the signal handlers of this OS thread, because the stack of the faulting thread may be full.
class SignalStack {
 public:
  SignalStack();
  ~SignalStack();
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

 private:
  void* memory_ = nullptr;
};

}  // namespace hipgpt::emulated
