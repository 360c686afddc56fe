// bf16 on the CPU: operations convert their operands to fp32, compute, and round the results. This is slow, and
// serves to run and test on a CPU what a GPU computes in bf16.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "tensor.h"

namespace hipgpt::cpu {

/// A bf16 is the upper half of a float.
inline float from_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// The nearest bf16; ties go to the even one. NaN stays NaN.
inline uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if (x != x) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/// An fp32 copy of a bf16 tensor; none of none.
class Fp32Copy {
 public:
  explicit Fp32Copy(const Tensor& tensor) : original_(tensor) {
    if (!tensor) return;
    values_.resize(static_cast<size_t>(tensor.size()));
    for (size_t i = 0; i < values_.size(); ++i) values_[i] = from_bf16(tensor.bf16()[i]);
    copy_ = Tensor(values_.data(), {tensor.size()});
    if (tensor.rank() == 2) copy_ = copy_.reshape({tensor.dim(0), tensor.dim(1)});
  }
  Fp32Copy(const Fp32Copy&) = delete;

  Tensor tensor() const { return copy_; }

  /// Rounds the values to the original.
  void write_back() const {
    if (!original_) return;
    for (size_t i = 0; i < values_.size(); ++i) original_.bf16()[i] = to_bf16(values_[i]);
  }

 private:
  Tensor original_, copy_;
  std::vector<float> values_;
};

}  // namespace hipgpt::cpu
