#include "cpu/thread_pool.h"

#include <utility>

namespace hipgpt::cpu {

namespace {

constexpr int kSpins = 1000;  // of about 50 ns each

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns when `value` is no longer `old`. Spins first, then sleeps.
template <typename T>
void wait_for_change(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
  } catch (...) {
    stop();  // the destructor will not run
    throw;
  }
}

ThreadPool::~ThreadPool() {
  stop();
}

void ThreadPool::stop() {
  stop_ = true;
  ++loops_;
  loops_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_job(Call call, const void* context, int64_t count) {
  if (workers_.empty() || count < 2) {
    for (int64_t i = 0; i < count; ++i) call(context, i);
    return;
  }
  call_ = call;
  context_ = context;
  count_ = count;
  unfinished_.store(static_cast<uint32_t>(count), std::memory_order_relaxed);
  const uint32_t number = loops_.load(std::memory_order_relaxed) + 1;
  claimable_.store(uint64_t{number} << 32 | static_cast<uint32_t>(count), std::memory_order_release);
  loops_.store(number, std::memory_order_release);
  loops_.notify_all();

  while (claim_and_call()) {
  }
  for (;;) {
    const uint32_t left = unfinished_.load(std::memory_order_acquire);
    if (left == 0) break;
    wait_for_change(unfinished_, left);
  }
  if (!failed_) return;
  failed_ = false;
  std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadPool::work() {
  for (uint32_t seen = 0;;) {
    wait_for_change(loops_, seen);
    seen = loops_.load(std::memory_order_acquire);
    if (stop_) return;
    while (claim_and_call()) {
    }
  }
}

/// Claims one piece and runs it. Returns false if none is left.
bool ThreadPool::claim_and_call() {
  uint64_t state = claimable_.load(std::memory_order_acquire);
  do {
    if (static_cast<uint32_t>(state) == 0) return false;
  } while (!claimable_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel));
  // The number in `state` proves that the piece belongs to the current loop, which cannot end before this
  // piece.
  try {
    call_(context_, count_ - static_cast<int64_t>(static_cast<uint32_t>(state)));
  } catch (...) {
    if (!failed_.exchange(true)) failure_ = std::current_exception();
  }
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  return true;
}

}  // namespace hipgpt::cpu
