#include "platform/emulated/grid.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <thread>

#include "platform/emulated/fault.h"
#include "platform/emulated/random.h"
#include "util/available_cores.h"

namespace hipgpt::emulated {

namespace {

constexpr int kMaxThreads = 16;

uint64_t environment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? fallback : std::strtoull(text, nullptr, 10);
}

int thread_count() {
  const auto fallback = static_cast<uint64_t>(std::min(available_cores(), kMaxThreads));
  return static_cast<int>(
      std::clamp<uint64_t>(environment("HIPGPT_EMULATED_THREADS", fallback), 1, kMaxThreads));
}

/// The blocks of one launch. Each OS thread takes the next block from here.
class Blocks {
 public:
  Blocks(const Launch& launch, uint64_t seed)
      : launch_(launch), seed_(seed), count_(uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z) {
    if (seed == 0) return;
    // A stride that is coprime to the count visits every block once.
    Random random(seed);
    start_ = random.below(count_);
    do {
      stride_ = 1 + random.below(count_);
    } while (std::gcd(stride_, count_) != 1);
  }

  uint64_t count() const { return count_; }
  bool any_left() const { return next_.load(std::memory_order_relaxed) < count_; }

  void run() {
    BlockRunner& runner = BlockRunner::mine();
    for (uint64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) {
      const uint64_t block = (start_ + i * stride_) % count_;
      const dim3& grid = launch_.grid;
      const uint3 index{static_cast<unsigned>(block % grid.x), static_cast<unsigned>(block / grid.x % grid.y),
                        static_cast<unsigned>(block / grid.x / grid.y)};
      runner.run(launch_, index, seed_ == 0 ? 0 : Random(seed_ ^ block).next() | 1);
    }
  }

 private:
  const Launch& launch_;
  uint64_t seed_, count_, start_ = 0, stride_ = 1;
  std::atomic<uint64_t> next_ = 0;
};

class Device {
 public:
  /// Never destroyed, because its threads sleep until the process ends.
  static Device& instance() {
    static Device* const device = new Device;
    return *device;
  }

  void run(const Launch& launch) {
    std::lock_guard one_at_a_time(launch_mutex_);
    ++launches_;
    Blocks blocks(launch, seed_ == 0 ? 0 : Random(seed_ + launches_).next() | 1);
    if (blocks.count() == 1 || helpers_ == 0) {
      blocks.run();
      return;
    }
    {
      std::lock_guard lock(mutex_);
      blocks_ = &blocks;
    }
    wake_.notify_all();
    blocks.run();
    std::unique_lock lock(mutex_);
    blocks_ = nullptr;  // a helper that wakes up late finds no work
    done_.wait(lock, [this] { return busy_ == 0; });
  }

  void set_seed(uint64_t seed) {
    std::lock_guard lock(launch_mutex_);
    seed_ = seed;
    launches_ = 0;
  }

 private:
  Device() : helpers_(thread_count() - 1), seed_(environment("HIPGPT_EMULATED_SHUFFLE", 0)) {
    install_fault_handlers();
    for (int i = 0; i < helpers_; ++i) std::thread([this] { help(); }).detach();
  }

  [[noreturn]] void help() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return blocks_ != nullptr && blocks_->any_left(); });
      Blocks& blocks = *blocks_;
      ++busy_;
      lock.unlock();
      blocks.run();
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex launch_mutex_;
  const int helpers_;
  uint64_t seed_, launches_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Blocks* blocks_ = nullptr;  // guarded by mutex_
  int busy_ = 0;              // guarded by mutex_
};

}  // namespace

void run_grid(const Launch& launch) {
  Device::instance().run(launch);
}

void set_shuffle_seed(uint64_t seed) {
  Device::instance().set_seed(seed);
}

}  // namespace hipgpt::emulated
