// ThreadPool: the threads of a CpuDevice.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace hipgpt::cpu {

/// Runs the pieces of a loop on several threads. A training step is a hundred loops of a tenth of a
/// millisecond, so the time between two loops matters. Threads spin for about 50 us before they sleep until
/// the next loop. A loop ends when its pieces are done, not when every thread has arrived, so a preempted
/// thread delays nothing. (OpenMP's threads meet at a barrier and spin for milliseconds. On cores shared with
/// other busy programs, we saw steps take more than ten times as long as usual.)
class ThreadPool {
 public:
  /// `threads` includes the caller's thread. Throws std::system_error if the system cannot start that many.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls f(i) for every i in [0, count) and returns when all calls have returned. If a call throws, for
  /// example for lack of memory, run() rethrows the exception at the end. f must not call run().
  template <typename F>
  void run(int64_t count, const F& f) {
    // One thread takes the same path as many. If f were also compiled into a plain loop here, the compiler
    // could round differently in the two copies, and the bits would depend on the number of threads.
    run_job([](const void* context, int64_t i) { (*static_cast<const F*>(context))(i); }, &f, count);
  }

 private:
  using Call = void (*)(const void* context, int64_t i);

  void run_job(Call call, const void* context, int64_t count);
  void work();
  bool claim_and_call();
  void stop();

  // The current loop. Written only while no piece is claimable or unfinished.
  Call call_ = nullptr;
  const void* context_ = nullptr;
  int64_t count_ = 0;

  std::atomic<uint64_t> claimable_{0};   // loop number << 32 | unclaimed pieces
  std::atomic<uint32_t> unfinished_{0};  // pieces that are not done
  std::atomic<uint32_t> loops_{0};       // loops started so far; workers wait for it to change
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};  // in the current loop; guards failure_
  std::exception_ptr failure_;
  std::vector<std::thread> workers_;
};

}  // namespace hipgpt::cpu
