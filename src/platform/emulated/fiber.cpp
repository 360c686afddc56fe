#include "platform/emulated/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "platform/emulated/sanitizer.h"

// A switch saves the callee-saved registers on the old stack and restores them from the new stack. To the
// compiler, it is an ordinary call. It ends with a jump, because a processor predicts that `ret` returns to
// the last caller, and here it never does.

// void hipgpt_switch_stack(void** save_stack_pointer_here, void* new_stack_pointer);
#if defined(__x86_64__)
asm(R"(
.text
.globl hipgpt_switch_stack
.hidden hipgpt_switch_stack
.type hipgpt_switch_stack, @function
hipgpt_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
.size hipgpt_switch_stack, . - hipgpt_switch_stack
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl hipgpt_switch_stack
.hidden hipgpt_switch_stack
.type hipgpt_switch_stack, %function
hipgpt_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size hipgpt_switch_stack, . - hipgpt_switch_stack
)");
#endif

extern "C" void hipgpt_switch_stack(void** save_stack_pointer_here, void* new_stack_pointer);

namespace hipgpt::emulated {

namespace {

constexpr size_t kStackBytes = (kAddressSanitizer ? 256 : 128) * 1024;

size_t guard_bytes() {
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return page;
}

size_t slot_bytes() {
  return guard_bytes() + kStackBytes;
}

#ifdef HIPGPT_UCONTEXT
void prepare(Fiber& fiber, FiberMain main, size_t) {
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = const_cast<void*>(fiber.stack);
  fiber.context.uc_stack.ss_size = fiber.stack_bytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, main, 0);
}
#else
/// Prepares the stack as if `main` had called hipgpt_switch_stack before its first instruction.
void prepare(Fiber& fiber, FiberMain main, size_t number) {
  char* top = static_cast<char*>(const_cast<void*>(fiber.stack)) + fiber.stack_bytes;
  // Stagger the stacks: stacks at the same page offset would compete for few lines of the first-level cache.
  top -= number % 32 * 128;
#if defined(__x86_64__)
  // Six registers, the return address, and a zero as the return address of main, where a debugger stops.
  constexpr size_t kFrame = 8 * sizeof(void*), kReturn = 6;
#else
  constexpr size_t kFrame = 20 * sizeof(void*), kReturn = 11;
#endif
  void* frame[kFrame / sizeof(void*)] = {};
  frame[kReturn] = reinterpret_cast<void*>(main);
  fiber.stack_pointer = top - kFrame;
  std::memcpy(fiber.stack_pointer, frame, kFrame);
}
#endif

}  // namespace

void switch_fiber(Fiber& from, Fiber& to) {
#ifdef HIPGPT_ASAN
  __sanitizer_start_switch_fiber(&from.sanitizer_stack, to.stack, to.stack_bytes);
#endif
#ifdef HIPGPT_UCONTEXT
  swapcontext(&from.context, &to.context);
#else
  hipgpt_switch_stack(&from.stack_pointer, to.stack_pointer);
#endif
#ifdef HIPGPT_ASAN
  __sanitizer_finish_switch_fiber(from.sanitizer_stack, nullptr, nullptr);
#endif
}

void fiber_begins([[maybe_unused]] Fiber& from) {
#ifdef HIPGPT_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &from.stack, &from.stack_bytes);
#endif
}

FiberPool::~FiberPool() {
  for (Chunk& chunk : chunks_) {
    allow_access(chunk.memory, kChunk * slot_bytes());
    munmap(chunk.memory, kChunk * slot_bytes());
  }
}

void FiberPool::grow(size_t count, std::vector<Fiber*>& fresh) {
  while (chunks_.size() * kChunk < count) {
    void* memory = mmap(nullptr, kChunk * slot_bytes(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    chunks_.push_back({static_cast<char*>(memory), std::make_unique<Fiber[]>(kChunk)});
    Chunk& chunk = chunks_.back();
    for (size_t i = 0; i < kChunk; ++i) {
      char* guard = chunk.memory + i * slot_bytes();
      mprotect(guard, guard_bytes(), PROT_NONE);
      chunk.fibers[i].stack = guard + guard_bytes();
      chunk.fibers[i].stack_bytes = kStackBytes;
      prepare(chunk.fibers[i], main_, i);
      fresh.push_back(&chunk.fibers[i]);
    }
  }
}

bool FiberPool::is_stack_overflow(const void* address) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  for (const Chunk& chunk : chunks_) {
    const auto begin = reinterpret_cast<uintptr_t>(chunk.memory);
    if (at >= begin && at < begin + kChunk * slot_bytes()) return (at - begin) % slot_bytes() < guard_bytes();
  }
  return false;
}

}  // namespace hipgpt::emulated
