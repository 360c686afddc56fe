// ThreadPool: the threads of a CpuDevice.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace hipgpt::cpu {

/// Runs the pieces of a loop on several threads. A training step is a hundred loops of a tenth of a
/// millisecond, so what counts is the time between two of them: threads spin for about 50 us for the next
/// loop before they sleep, and a loop is over when its pieces are done, not when every thread has been there.
/// So a thread that the system has put aside for another program holds nothing up. (OpenMP's threads meet at
/// a barrier and spin for milliseconds: on cores shared with other busy programs, steps of more than ten
/// times the usual length were seen.)
class ThreadPool {
 public:
  /// `threads` in all, the caller's included. std::system_error if the system does not give so many.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls f(i) for every i in [0, count), and returns when all calls have. An exception of one of them, for
  /// a lack of memory, is rethrown here at the end. f must not call run().
  template <typename F>
  void run(int64_t count, const F& f) {
    // One thread goes the same way as many. Were f also compiled into a plain loop here, the compiler could
    // round differently in the two copies, and the number of threads would change bits.
    run_job([](const void* context, int64_t i) { (*static_cast<const F*>(context))(i); }, &f, count);
  }

 private:
  using Call = void (*)(const void* context, int64_t i);

  void run_job(Call call, const void* context, int64_t count);
  void work();
  bool claim_and_call();
  void stop();

  // The loop at hand. Written only while no piece is claimable or unfinished.
  Call call_ = nullptr;
  const void* context_ = nullptr;
  int64_t count_ = 0;

  std::atomic<uint64_t> claimable_{0};   // number of the loop << 32 | pieces that nobody has claimed
  std::atomic<uint32_t> unfinished_{0};  // pieces that are not done
  std::atomic<uint32_t> loops_{0};       // started so far; workers sleep on it
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};  // since the last loop that ended; guards failure_
  std::exception_ptr failure_;
  std::vector<std::thread> workers_;
};

}  // namespace hipgpt::cpu
