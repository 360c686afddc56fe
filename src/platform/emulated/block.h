// One OS thread's share of the emulated GPU. It runs one block at a time, with a fiber for each of the
// block's threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "platform/emulated/emulator.h"
#include "platform/emulated/fiber.h"

namespace hipgpt::emulated {

/// A kernel with its arguments and launch configuration.
struct Launch {
  std::string kernel;
  dim3 grid, block;
  size_t dynamic_bytes;  ///< of shared memory, beside the arrays that the kernel declares
  std::function<void()> body;
};

class BlockRunner {
 public:
  /// The runner of this OS thread.
  static BlockRunner& mine();
  /// The runner of this OS thread, or null if it never ran a block. Safe to call in a signal handler.
  static BlockRunner* mine_if_any();

  /// Runs a block from its first thread's start to its last thread's end. `seed` determines the order of
  /// threads; 0 means ascending.
  void run(const Launch& launch, uint3 block_index, uint64_t seed);

  // Called by the threads of the block, through emulator.h:
  void barrier(Site site);
  const Lanes& meet(uint64_t value, Site site);
  void add_shared_array(const SharedArray& array);
  size_t dynamic_bytes() const { return launch_->dynamic_bytes; }

  bool is_stack_overflow(const void* address) const { return fibers_.is_stack_overflow(address); }
  /// The name of the shared array next to this address, or null.
  const char* shared_array_beside(const void* address) const;

 private:
  enum class State : uint8_t { kReady, kAtBarrier, kInWave, kExited };

  struct Thread {
    State state;
    uint3 index;
    Fiber* fiber;  ///< null until it starts
    Site site;     ///< where it waits
  };

  struct Wave {
    Lanes meetings[2];  ///< alternate: lanes may read one while others arrive at the next
    int meeting;
    int live;     ///< lanes that have not exited
    int arrived;  ///< live lanes at the rendezvous
    uint64_t arrived_mask;
  };

  BlockRunner();

  static void fiber_main();
  void begin(const Launch& launch, uint3 block_index);
  void order_threads(uint64_t seed);
  void run_to_barrier();
  int next_ready();
  void set_running(int thread);
  void leave(Fiber& from);
  void wait();
  void exit_thread();
  void end_barrier();
  void end();
  void finish_meeting(Wave& wave, int wave_number);
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void report_deadlock() const;
  std::string describe(const Thread& thread) const;

  FiberPool fibers_;
  std::vector<Fiber*> free_fibers_;
  Fiber scheduler_;  ///< the OS thread's own stack
  const Launch* launch_ = nullptr;
  int thread_count_ = 0, live_ = 0, at_barrier_ = 0;
  int running_ = 0;  ///< linear index of the running thread
  std::vector<Thread> threads_;
  std::vector<Wave> waves_;
  // Threads take turns in this order, group by group. When all threads of a group wait, the next group runs.
  std::vector<int> order_;
  int group_size_ = 0, group_begin_ = 0, group_end_ = 0;
  int turn_ = 0;                                   ///< next index in order_
  bool any_ready_ = false;                         ///< a thread was ready in this pass over the group
  std::vector<const SharedArray*> shared_arrays_;  ///< arrays of this block
  size_t shared_bytes_ = 0;
};

}  // namespace hipgpt::emulated
