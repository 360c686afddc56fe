// How the emulated device says what went wrong in a kernel, and where.
#pragma once

#include <string>

namespace hipgpt::emulated {

/// Prints one line on stderr and ends the process, for a debugger to catch.
[[noreturn]] void die(const std::string& message);

/// From now on a fault on any thread, and any report of a sanitizer, says where in a kernel it was.
void install_fault_handlers();

/// A stack for the signal handlers of this OS thread, since the faulty one may be full.
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
