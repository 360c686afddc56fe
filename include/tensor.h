// Tensor: a non-owning, contiguous, row-major view of memory on some device.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace hipgpt {

enum class DType : uint8_t { kF32, kI32 };

inline size_t dtype_size(DType) {
  return 4;
}

/// Pointer, shape and dtype; copying it copies the view. The memory belongs to a Buffer (device.h).
/// Rank is at most 4. An empty Tensor (`!t`) stands for "none" in optional arguments.
class Tensor {
 public:
  static constexpr int kMaxRank = 4;

  Tensor() = default;
  Tensor(void* data, std::initializer_list<int64_t> shape, DType dtype = DType::kF32)
      : data_(data), rank_(static_cast<int>(shape.size())), dtype_(dtype) {
    assert(shape.size() <= kMaxRank);
    int i = 0;
    for (int64_t d : shape) shape_[i++] = d;
  }

  explicit operator bool() const { return data_ != nullptr; }
  DType dtype() const { return dtype_; }
  int rank() const { return rank_; }
  int64_t dim(int i) const {
    assert(i < rank_);
    return shape_[i];
  }
  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= shape_[i];
    return n;
  }
  size_t bytes() const { return static_cast<size_t>(size()) * dtype_size(dtype_); }

  void* data() const { return data_; }
  float* f32() const {
    assert(dtype_ == DType::kF32);
    return static_cast<float*>(data_);
  }
  int32_t* i32() const {
    assert(dtype_ == DType::kI32);
    return static_cast<int32_t*>(data_);
  }

  /// The same elements under another shape of the same size.
  Tensor reshape(std::initializer_list<int64_t> shape) const {
    Tensor t(data_, shape, dtype_);
    assert(t.size() == size());
    return t;
  }

  /// The same shape at another address.
  Tensor at(void* data) const {
    Tensor t = *this;
    t.data_ = data;
    return t;
  }

  /// Rows [first, first + count) of the leading dimension.
  Tensor rows(int64_t first, int64_t count) const {
    assert(rank_ > 0 && first >= 0 && count >= 0 && first + count <= shape_[0]);
    Tensor t = *this;
    const int64_t stride = shape_[0] == 0 ? 0 : size() / shape_[0];
    t.data_ = static_cast<std::byte*>(data_) + static_cast<size_t>(first * stride) * dtype_size(dtype_);
    t.shape_[0] = count;
    return t;
  }

 private:
  void* data_ = nullptr;
  std::array<int64_t, kMaxRank> shape_{};
  int rank_ = 0;
  DType dtype_ = DType::kF32;
};

}  // namespace hipgpt
