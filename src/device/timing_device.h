// TimingDevice: any device with a stopwatch around each operation.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "device.h"
#include "device/operation_cost.h"

namespace hipgpt {

/// Forwards every call to another device, which must outlive it. While it records, it also waits for each
/// operation and notes how long it took.
///
/// The time is that between two waits, minus the time of a wait for nothing. On a GPU it includes the launch,
/// which a captured graph hides. The sum over a step is therefore longer than a step at full speed.
class TimingDevice final : public Device {
 public:
  struct Call {
    const char* name;  ///< of the operation
    OperationCost cost;
    double seconds;
  };

  explicit TimingDevice(Device& device);

  Device& device() { return device_; }

  /// Records the calls from here on.
  void start();
  /// Ends the recording and returns its calls in order.
  std::vector<Call> stop();

  std::string description() const override { return device_.description(); }
  void* allocate(size_t bytes) override { return device_.allocate(bytes); }
  void release(void* memory) noexcept override { device_.release(memory); }
  void* allocate_host(size_t bytes) override { return device_.allocate_host(bytes); }
  void release_host(void* memory) noexcept override { device_.release_host(memory); }
  void copy_to_device(Tensor dst, const void* host) override { device_.copy_to_device(dst, host); }
  void copy_to_host(void* host, Tensor src) override { device_.copy_to_host(host, src); }
  void copy(Tensor dst, Tensor src) override;
  void set_zero(Tensor t) override;
  DType preferred_dtype() const override { return device_.preferred_dtype(); }
  int64_t working_set() const override { return device_.working_set(); }
  bool reads_host_memory() const override { return device_.reads_host_memory(); }
  Memory memory() const override { return device_.memory(); }
  void* native_stream() const override { return device_.native_stream(); }

  /// The graph calls `f` while the device records. At other times it replays a graph of the other device,
  /// which the first such replay captures.
  std::unique_ptr<Graph> capture(std::function<void()> f) override;

#define HIPGPT_OPERATION(name, parameters, arguments)                                  \
  void name parameters override {                                                      \
    timed(                                                                             \
        #name, [&] { return cost::name arguments; }, [&] { device_.name arguments; }); \
  }
#include "operations.h"

 private:
  using Clock = std::chrono::steady_clock;

  template <typename CostOf, typename Run>
  void timed(const char* name, const CostOf& cost_of, const Run& run) {
    if (!recording_) return run();
    wait();
    const auto start = Clock::now();
    run();
    wait();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    calls_.push_back({name, cost_of(), std::max(seconds - wait_seconds_, 1e-9)});
  }

  void wait();

  Device& device_;
  Buffer memory_;
  bool recording_ = false;
  double wait_seconds_ = 0.0;  // of a wait for nothing
  std::vector<Call> calls_;
};

}  // namespace hipgpt
