// MemoryPlan: many tensors in one allocation.
#pragma once

#include <initializer_list>
#include <utility>
#include <vector>

#include "device.h"

namespace hipgpt {

/// The caller first adds every tensor with its shape, then allocates once. A training step therefore
/// allocates nothing.
class MemoryPlan {
 public:
  void add(Tensor& tensor, std::initializer_list<int64_t> shape, DType dtype = DType::kF32) {
    add(tensor, Tensor(nullptr, shape, dtype));
  }

  /// Adds a tensor with the shape, dtype and pitch of another.
  void add(Tensor& tensor, const Tensor& shape) {
    entries_.push_back({&tensor, shape, bytes_});
    bytes_ += (entries_.back().shape.bytes() + kAlignment - 1) / kAlignment * kAlignment;
  }

  size_t bytes() const { return bytes_; }

  /// Allocates one buffer for all added tensors and points each of them into it.
  Buffer allocate(Device& device) const {
    Buffer buffer(device, bytes_);
    for (const Entry& entry : entries_) *entry.tensor = entry.shape.at(buffer.data() + entry.offset);
    return buffer;
  }

 private:
  static constexpr size_t kAlignment = 64;
  struct Entry {
    Tensor* tensor;
    Tensor shape;
    size_t offset;
  };
  std::vector<Entry> entries_;
  size_t bytes_ = 0;
};

}  // namespace hipgpt
