// bf16 on the CPU: operations convert their operands to fp32, compute, and round the results. This is slow.
// It lets a CPU run and test what a GPU computes in bf16.
#pragma once

#include <vector>

#include "tensor.h"
#include "util/bf16.h"

namespace hipgpt::cpu {

/// An fp32 copy of a bf16 tensor, or none if the tensor is none.
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
