// Memory of the emulated device, for tests of kernels.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "hip/kernel.h"

namespace hipgpt::hip {

/// Device memory, with copies to and from the host. The device detects accesses out of its bounds.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t size) : size_(size) {
    EXPECT_EQ(hipMalloc(&data_, size * sizeof(T)), hipSuccess);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { upload(values); }
  ~DeviceArray() { EXPECT_EQ(hipFree(data_), hipSuccess); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }

  void upload(const std::vector<T>& values) {
    EXPECT_EQ(hipMemcpy(data_, values.data(), size_ * sizeof(T), hipMemcpyHostToDevice), hipSuccess);
  }

  std::vector<T> download() const {
    std::vector<T> values(size_);
    EXPECT_EQ(hipMemcpy(values.data(), data_, size_ * sizeof(T), hipMemcpyDeviceToHost), hipSuccess);
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t size_;
};

}  // namespace hipgpt::hip
