// A fiber: a stack of its own, and a place where its execution stands. An OS thread runs one of its fibers at
// a time, and changes to another when the program says so, at the price of a function call or two.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#define HIPGPT_UCONTEXT 1
#endif

namespace hipgpt::emulated {

/// A default-constructed Fiber stands for the OS thread's own stack, once it has been left by switch_fiber.
struct Fiber {
#ifdef HIPGPT_UCONTEXT
  ucontext_t context;
#else
  void* stack_pointer = nullptr;  ///< the registers that a function must keep lie there
#endif
  const void* stack = nullptr;  ///< lowest address
  size_t stack_bytes = 0;
  void* sanitizer_stack = nullptr;
};

/// Leaves `from` where it stands and goes on in `to`; returns when somebody switches back to `from`.
void switch_fiber(Fiber& from, Fiber& to);

/// A function that never returns, as the bottom of a fiber. It must call fiber_begins() first.
using FiberMain = void (*)();

/// To be called at the bottom of a new fiber. `from` is the fiber that it was entered from.
void fiber_begins(Fiber& from);

/// Fibers with stacks, made as they are needed and kept.
class FiberPool {
 public:
  explicit FiberPool(FiberMain main) : main_(main) {}
  ~FiberPool();
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;

  /// Makes sure that there are `count`; adds the new ones to `fresh`.
  void grow(size_t count, std::vector<Fiber*>& fresh);

  /// Whether a fault at this address is a stack that ran over.
  bool is_stack_overflow(const void* address) const;

 private:
  static constexpr size_t kChunk = 64;

  struct Chunk {
    char* memory;  ///< of each fiber: a page that nobody may touch, and the stack above it
    std::unique_ptr<Fiber[]> fibers;
  };

  FiberMain main_;
  std::vector<Chunk> chunks_;
};

}  // namespace hipgpt::emulated
