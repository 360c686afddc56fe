// A fiber: a stack and a saved execution state. An OS thread runs one of its fibers at a time and switches to
// another when the program asks, at the cost of a function call or two.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#define HIPGPT_UCONTEXT 1
#endif

namespace hipgpt::emulated {

/// A default-constructed Fiber represents the OS thread's own stack after switch_fiber() has left it.
struct Fiber {
#ifdef HIPGPT_UCONTEXT
  ucontext_t context;
#else
  void* stack_pointer = nullptr;  ///< the callee-saved registers are there
#endif
  const void* stack = nullptr;  ///< lowest address
  size_t stack_bytes = 0;
  void* sanitizer_stack = nullptr;
};

/// Suspends `from` and resumes `to`. Returns when another fiber switches back to `from`.
void switch_fiber(Fiber& from, Fiber& to);

/// The bottom function of a fiber. It never returns and must call fiber_begins() first.
using FiberMain = void (*)();

/// Call this first in a new fiber. `from` is the fiber that switched to it.
void fiber_begins(Fiber& from);

/// Fibers with stacks, created on demand and kept.
class FiberPool {
 public:
  explicit FiberPool(FiberMain main) : main_(main) {}
  ~FiberPool();
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;

  /// Grows the pool to at least `count` fibers and adds the new ones to `fresh`.
  void grow(size_t count, std::vector<Fiber*>& fresh);

  /// Whether a fault at this address is a stack overflow.
  bool is_stack_overflow(const void* address) const;

 private:
  static constexpr size_t kChunk = 64;

  struct Chunk {
    char* memory;  ///< for each fiber: an inaccessible page, and the stack above it
    std::unique_ptr<Fiber[]> fibers;
  };

  FiberMain main_;
  std::vector<Chunk> chunks_;
};

}  // namespace hipgpt::emulated
