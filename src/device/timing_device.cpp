#include "device/timing_device.h"

#include <algorithm>
#include <utility>

namespace hipgpt {

TimingDevice::TimingDevice(Device& device) : device_(device), memory_(device, sizeof(int32_t)) {
  device.set_zero(Tensor(memory_.data(), {1}, DType::kI32));
}

void TimingDevice::wait() {
  int32_t waited_for = 0;
  device_.copy_to_host(&waited_for, Tensor(memory_.data(), {1}, DType::kI32));
}

void TimingDevice::start() {
  constexpr int kWaits = 21;
  std::vector<double> waits;
  for (int i = 0; i < kWaits; ++i) {
    wait();
    const auto start = Clock::now();
    wait();
    waits.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::ranges::nth_element(waits, waits.begin() + kWaits / 2);
  wait_seconds_ = waits[kWaits / 2];
  calls_.clear();
  recording_ = true;
}

std::vector<TimingDevice::Call> TimingDevice::stop() {
  recording_ = false;
  return std::exchange(calls_, {});
}

void TimingDevice::copy(Tensor dst, Tensor src) {
  const auto cost = [&] {
    return OperationCost{to_string(src), 0.0, 2.0 * static_cast<double>(src.bytes())};
  };
  timed("copy", cost, [&] { device_.copy(dst, src); });
}

void TimingDevice::set_zero(Tensor t) {
  const auto cost = [&] { return OperationCost{to_string(t), 0.0, static_cast<double>(t.bytes())}; };
  timed("set_zero", cost, [&] { device_.set_zero(t); });
}

namespace {

class TimedGraph final : public Device::Graph {
 public:
  TimedGraph(Device& device, const bool& recording, std::function<void()> f)
      : device_(device), recording_(recording), f_(std::move(f)) {}

  void replay() override {
    if (recording_) return f_();
    if (!captured_) captured_ = device_.capture(f_);
    captured_->replay();
  }

 private:
  Device& device_;
  const bool& recording_;
  std::function<void()> f_;
  std::unique_ptr<Device::Graph> captured_;
};

}  // namespace

std::unique_ptr<Device::Graph> TimingDevice::capture(std::function<void()> f) {
  return std::make_unique<TimedGraph>(device_, recording_, std::move(f));
}

}  // namespace hipgpt
