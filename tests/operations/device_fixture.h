// A fixture for tests of operations: randomly filled tensors, and comparison with doubles.
#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <deque>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "cpu/vector_level.h"
#include "device.h"
#include "reference.h"
#include "util/largest_error.h"

namespace hipgpt {

/// A device of this build, the number of threads to try it with, and the vector instructions that a CPU may use.
struct DeviceCase {
  std::string name;
  int threads;
  cpu::VectorLevel level = cpu::processor_level();
};

inline void PrintTo(const DeviceCase& c, std::ostream* out) {
  *out << c.name << " with " << c.threads << " threads and " << to_string(c.level);
}

inline std::string case_name(const testing::TestParamInfo<DeviceCase>& info) {
  std::string name = info.param.name + (info.param.threads > 0 ? std::to_string(info.param.threads) : "");
  if (info.param.level != cpu::processor_level()) {
    for (const char c : std::string(to_string(info.param.level))) name += std::isalnum(c) ? c : '_';
  }
  return name;
}

/// The devices to test. A build for the emulated HIP device tests only that one; any other build tests the
/// CPU, and the GPU if there is one.
inline std::vector<DeviceCase> all_devices() {
#ifdef HIPGPT_EMULATED
  return {{"hip", 0}};
#else
  std::vector<DeviceCase> cases = {{"cpu", 1}, {"cpu", 3}};
  for (const DeviceInfo& info : list_devices()) {
    if (info.name.starts_with("hip:") && info.usable && !info.emulated && cases.size() == 2) {
      cases.push_back({"hip", 0});  // the first GPU
    }
  }
  return cases;
#endif
}

/// The same, and the CPU with every level below the processor's.
inline std::vector<DeviceCase> all_devices_and_levels() {
  std::vector<DeviceCase> cases = all_devices();
#ifndef HIPGPT_EMULATED
  using enum cpu::VectorLevel;
  for (const cpu::VectorLevel level : {kBaseline, kAVX2, kAVX512}) {
    if (level < cpu::processor_level()) cases.push_back({"cpu", 2, level});
  }
#endif
  return cases;
}

/// Returns the newest device, for tests that need only one.
inline std::unique_ptr<Device> any_device() {
  const DeviceCase newest = all_devices().back();
  return make_device(newest.name, newest.threads);
}

class DeviceTest : public testing::TestWithParam<DeviceCase> {
 protected:
  DeviceTest() : device_(make_device(GetParam().name, GetParam().threads)) {
    cpu::set_vector_level(GetParam().level);
  }
  ~DeviceTest() override { cpu::set_vector_level(cpu::processor_level()); }

  Tensor zeros(std::initializer_list<int64_t> shape, DType dtype = DType::kF32) {
    const Tensor shaped(nullptr, shape, dtype);
    buffers_.emplace_back(*device_, std::max<size_t>(shaped.bytes(), 1));
    const Tensor t = shaped.at(buffers_.back().data());
    device_->set_zero(t);
    return t;
  }

  /// Returns a tensor with these values.
  Tensor tensor(const std::vector<float>& host) {
    const Tensor t = zeros({static_cast<int64_t>(host.size())});
    device_->copy_to_device(t, host.data());
    return t;
  }
  Tensor tensor(const std::vector<int32_t>& host) {
    const Tensor t = zeros({static_cast<int64_t>(host.size())}, DType::kI32);
    device_->copy_to_device(t, host.data());
    return t;
  }

  /// Returns a tensor uniform in (-1, 1), the same in every run.
  Tensor random(std::initializer_list<int64_t> shape) {
    const Tensor t = zeros(shape);
    std::vector<float> values(static_cast<size_t>(t.size()));
    for (float& v : values) v = std::uniform_real_distribution<float>(-1, 1)(generator_);
    device_->copy_to_device(t, values.data());
    return t;
  }

  Tensor random_tokens(std::initializer_list<int64_t> shape, int vocab_size) {
    const Tensor t = zeros(shape, DType::kI32);
    std::vector<int32_t> values(static_cast<size_t>(t.size()));
    for (auto& v : values) v = std::uniform_int_distribution<int32_t>(0, vocab_size - 1)(generator_);
    device_->copy_to_device(t, values.data());
    return t;
  }

  reference::Values values(Tensor t) {
    std::vector<float> host(static_cast<size_t>(t.size()));
    device_->copy_to_host(host.data(), t);
    return {host.begin(), host.end()};
  }

  std::vector<int32_t> tokens(Tensor t) {
    std::vector<int32_t> host(static_cast<size_t>(t.size()));
    device_->copy_to_host(host.data(), t);
    return host;
  }

  /// Expects the largest error, relative to the largest expected value, to be below `tolerance`.
  static void expect_close(const reference::Values& actual, const reference::Values& expected,
                           double tolerance, const std::string& what) {
    ASSERT_EQ(actual.size(), expected.size()) << what;
    LargestError error;
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(std::isfinite(actual[i])) << what << " at " << i;
      error.add(actual[i], expected[i]);
    }
    EXPECT_LT(error.relative(), tolerance) << what;
  }

  std::unique_ptr<Device> device_;
  std::mt19937 generator_{42};

 private:
  std::deque<Buffer> buffers_;
};

/// Formats "attention 2 5 3", to tell which size failed.
inline std::string fmt_size(const std::string& name, int64_t a, int64_t b, int64_t c = 0) {
  return name + " " + std::to_string(a) + " " + std::to_string(b) + " " + std::to_string(c);
}

}  // namespace hipgpt
