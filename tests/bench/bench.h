// What the benchmarks of operations share: random operands, and the time of a call.
#pragma once

#include <algorithm>
#include <bit>
#include <chrono>
#include <deque>
#include <functional>
#include <random>
#include <vector>

#include "device.h"

namespace hipgpt {

/// Tensors in a device's memory, which live as long as this object.
class Operands {
 public:
  explicit Operands(Device& device) : device_(device) {}

  /// Uniform in (-scale, scale).
  Tensor random(std::initializer_list<int64_t> shape, DType dtype, float scale = 1.0f) {
    const Tensor t = uninitialized(shape, dtype);
    std::vector<uint16_t> halves;
    std::vector<float> values;
    for (int64_t i = 0; i < t.size(); ++i) {
      const float value = scale * (static_cast<float>(generator_()) * 0x1p-31f - 1.0f);
      if (dtype == DType::kF32) {
        values.push_back(value);
      } else {
        halves.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
      }
    }
    device_.copy_to_device(t, dtype == DType::kF32 ? static_cast<const void*>(values.data()) : halves.data());
    return t;
  }
  /// Uniform in 0 ... limit-1.
  Tensor random_ids(std::initializer_list<int64_t> shape, int limit) {
    const Tensor t = uninitialized(shape, DType::kI32);
    std::vector<int32_t> ids(static_cast<size_t>(t.size()));
    for (int32_t& id : ids) id = static_cast<int32_t>(generator_() % static_cast<uint32_t>(limit));
    device_.copy_to_device(t, ids.data());
    return t;
  }
  Tensor zeros(std::initializer_list<int64_t> shape, DType dtype = DType::kF32) {
    const Tensor t = uninitialized(shape, dtype);
    device_.set_zero(t);
    return t;
  }

 private:
  Tensor uninitialized(std::initializer_list<int64_t> shape, DType dtype) {
    const Tensor t(nullptr, shape, dtype);
    memory_.emplace_back(device_, t.bytes());
    return t.at(memory_.back().data());
  }

  Device& device_;
  std::mt19937 generator_{1};
  std::deque<Buffer> memory_;
};

/// The median time of f() in microseconds, over rounds of a captured graph of `repeats` calls.
inline double median_us(Device& device, int repeats, const std::function<void()>& f) {
  const Buffer memory(device, sizeof(float));
  const Tensor last(memory.data(), {1});
  const auto graph = device.capture([&] {
    for (int i = 0; i < repeats; ++i) f();
  });
  float waited_for = 0.0f;
  std::vector<double> times;
  for (int round = 0; round < 8; ++round) {
    const auto start = std::chrono::steady_clock::now();
    graph->replay();
    device.copy_to_host(&waited_for, last);
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    if (round > 0) times.push_back(time.count() / repeats);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace hipgpt
