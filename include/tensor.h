// Tensor: a non-owning, row-major view of memory on some device.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace hipgpt {

/// kInt8 is a format of weights: the rows of a matrix consist of Int8Groups.
enum class DType : uint8_t { kF32, kBF16, kI32, kInt8 };

/// 64 adjacent values of a row, each scale * values[i]. Zeros fill the last group of a row.
struct Int8Group {
  static constexpr int64_t kSize = 64;
  float scale;
  int8_t values[kSize];
};

/// The size of `n` adjacent elements of a row in bytes.
constexpr size_t dtype_bytes(DType dtype, int64_t n) {
  const auto count = static_cast<size_t>(n);
  switch (dtype) {
    case DType::kBF16: return 2 * count;
    case DType::kInt8: return (count + Int8Group::kSize - 1) / Int8Group::kSize * sizeof(Int8Group);
    default: return 4 * count;
  }
}

/// "f32", "bf16", "i32" or "int8".
const char* to_string(DType dtype);

/// A pointer, a shape and a dtype. Copying a Tensor copies the view. The memory belongs to a Buffer
/// (device.h). Rank is at most 4. An empty Tensor (`!t`) stands for "none" in optional arguments.
///
/// The elements of a row (the last dimension) are adjacent in memory. Rows begin `pitch` elements apart. The
/// pitch is usually the length of a row; then the tensor is contiguous. A longer pitch lets every row begin
/// at an aligned address, whatever its length. Operations may change what is between the rows of results. An
/// int8 tensor is a contiguous matrix.
///
/// Every method checks its arguments and throws Error if they are not valid.
class Tensor {
 public:
  static constexpr int kMaxRank = 4;

  Tensor() = default;
  Tensor(void* data, std::initializer_list<int64_t> shape, DType dtype = DType::kF32);

  explicit operator bool() const { return data_ != nullptr; }
  DType dtype() const { return dtype_; }
  int rank() const { return rank_; }
  int64_t dim(int i) const {
    if (i < 0 || i >= rank_) no_dimension(i);
    return shape_[static_cast<size_t>(i)];
  }

  std::vector<int64_t> shape() const { return {shape_.begin(), shape_.begin() + rank_}; }

  /// The number of elements, not counting the gaps between rows.
  int64_t size() const;

  /// The number of bytes from the first element to the end of the last.
  size_t bytes() const;

  int64_t pitch() const { return pitch_; }
  bool contiguous() const { return rank_ == 0 || pitch_ == shape_[static_cast<size_t>(rank_ - 1)]; }

  void* data() const { return data_; }
  float* f32() const {
    if (dtype_ != DType::kF32) wrong_dtype(DType::kF32);
    return static_cast<float*>(data_);
  }
  int32_t* i32() const {
    if (dtype_ != DType::kI32) wrong_dtype(DType::kI32);
    return static_cast<int32_t*>(data_);
  }
  /// The bit patterns: a bf16 is the upper half of a float.
  uint16_t* bf16() const {
    if (dtype_ != DType::kBF16) wrong_dtype(DType::kBF16);
    return static_cast<uint16_t*>(data_);
  }

  const Int8Group* int8() const {
    if (dtype_ != DType::kInt8) wrong_dtype(DType::kInt8);
    return static_cast<const Int8Group*>(data_);
  }

  /// The same elements with another shape of the same size. The tensor must be contiguous.
  Tensor reshape(std::initializer_list<int64_t> shape) const;

  /// The same shape at another address.
  Tensor at(void* data) const {
    Tensor t = *this;
    t.data_ = data;
    return t;
  }

  /// The same shape with rows that begin `pitch` elements apart.
  Tensor with_pitch(int64_t pitch) const;

  /// Indices [first, first + count) of the leading dimension.
  Tensor rows(int64_t first, int64_t count) const;

 private:
  [[noreturn]] void no_dimension(int i) const;
  [[noreturn]] void wrong_dtype(DType wanted) const;

  void* data_ = nullptr;
  std::array<int64_t, kMaxRank> shape_{};
  int64_t pitch_ = 0;
  int rank_ = 0;
  DType dtype_ = DType::kF32;
};

/// "f32 [32,128]", for messages; "none" for an empty one.
std::string to_string(const Tensor& tensor);

}  // namespace hipgpt
