#include "tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <span>

#include "error.h"

namespace hipgpt {

const char* to_string(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kBF16: return "bf16";
    case DType::kI32: return "i32";
    case DType::kInt8: return "int8";
  }
  return "unknown";
}

std::string to_string(const Tensor& t) {
  if (!t && t.rank() == 0) return "none";
  const std::string pitch = t.contiguous() ? "" : fmt::format(" with a pitch of {}", t.pitch());
  return fmt::format("{} [{}]{}{}", to_string(t.dtype()), fmt::join(t.shape(), ","), pitch,
                     t ? "" : " without memory");
}

Tensor::Tensor(void* data, std::initializer_list<int64_t> shape, DType dtype) : data_(data), dtype_(dtype) {
  if (shape.size() > kMaxRank) {
    throw Error(fmt::format("a tensor has at most {} dimensions, not {}", kMaxRank, shape.size()));
  }
  int64_t elements = 1;
  for (const int64_t d : shape) {
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 8;  // the size in bytes must fit too
    if (d < 0 || (d > 0 && elements > kMost / d)) {
      throw Error(
          fmt::format("a tensor of shape [{}] has a negative or too large size", fmt::join(shape, ",")));
    }
    elements *= d;
    shape_[static_cast<size_t>(rank_++)] = d;
  }
  if (rank_ > 0) pitch_ = shape_[static_cast<size_t>(rank_ - 1)];
  if (dtype == DType::kInt8 && rank_ != 2) {
    throw Error(
        fmt::format("a tensor of shape [{}] cannot be int8: only a matrix can", fmt::join(shape, ",")));
  }
}

int64_t Tensor::size() const {
  int64_t n = 1;
  for (int i = 0; i < rank_; ++i) n *= shape_[static_cast<size_t>(i)];
  return n;
}

size_t Tensor::bytes() const {
  const int64_t elements = size();
  if (elements == 0) return 0;
  const int64_t width = rank_ == 0 ? 1 : shape_[static_cast<size_t>(rank_ - 1)];
  if (dtype_ == DType::kInt8) return static_cast<size_t>(elements / width) * dtype_bytes(dtype_, width);
  return dtype_bytes(dtype_, contiguous() ? elements : (elements / width - 1) * pitch_ + width);
}

Tensor Tensor::reshape(std::initializer_list<int64_t> shape) const {
  Tensor t(data_, shape, dtype_);
  if (!contiguous() || t.size() != size() || dtype_ == DType::kInt8) {
    throw Error(fmt::format("{} cannot be reshaped to [{}]", to_string(*this), fmt::join(shape, ",")));
  }
  return t;
}

Tensor Tensor::with_pitch(int64_t pitch) const {
  Tensor t = *this;
  if (rank_ < 2 || dtype_ == DType::kInt8 || pitch < shape_[static_cast<size_t>(rank_ - 1)]) {
    throw Error(fmt::format("{} cannot have a pitch of {}", to_string(*this), pitch));
  }
  t.pitch_ = pitch;
  return t;
}

Tensor Tensor::rows(int64_t first, int64_t count) const {
  if (rank_ == 0 || first < 0 || count < 0 || first > shape_[0] || count > shape_[0] - first) {
    throw Error(fmt::format("{} has no rows {} to {}", to_string(*this), first, first + count - 1));
  }
  Tensor t = *this;
  if (rank_ == 1) t.pitch_ = count;
  t.shape_[0] = count;
  int64_t stride = rank_ == 1 ? 1 : pitch_;  // elements from one index of the leading dimension to the next
  for (int i = 1; i < rank_ - 1; ++i) stride *= shape_[static_cast<size_t>(i)];
  if (data_ != nullptr) {
    const size_t offset = dtype_ == DType::kInt8 ? static_cast<size_t>(first) * dtype_bytes(dtype_, stride)
                                                 : dtype_bytes(dtype_, first * stride);
    t.data_ = static_cast<std::byte*>(data_) + offset;
  }
  return t;
}

void Tensor::no_dimension(int i) const {
  throw Error(fmt::format("{} has no dimension {}", to_string(*this), i));
}

void Tensor::wrong_dtype(DType wanted) const {
  throw Error(fmt::format("{} cannot be read as {}", to_string(*this), to_string(wanted)));
}

}  // namespace hipgpt
