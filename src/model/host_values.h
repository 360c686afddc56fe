// Copies a tensor to the host as fp32.
#pragma once

#include <vector>

#include "device.h"
#include "util/bf16.h"

namespace hipgpt {

/// Copies an fp32 or bf16 matrix, whose rows may have a pitch, to host[rows * width].
inline void copy_rows_to_host(float* host, Device& device, const Tensor& matrix) {
  if (matrix.dtype() == DType::kF32 && matrix.contiguous()) return device.copy_to_host(host, matrix);
  const int64_t rows = matrix.dim(0), width = matrix.dim(1), pitch = matrix.pitch();
  const auto size = static_cast<size_t>((rows - 1) * pitch + width);
  std::vector<uint16_t> bits(size);
  device.copy_to_host(bits.data(), Tensor(matrix.bf16(), {static_cast<int64_t>(size)}, DType::kBF16));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < width; ++j)
      host[i * width + j] = from_bf16(bits[static_cast<size_t>(i * pitch + j)]);
  }
}

/// A contiguous fp32 or bf16 tensor as a vector.
inline std::vector<float> values_of(Device& device, const Tensor& tensor) {
  std::vector<float> host(static_cast<size_t>(tensor.size()));
  copy_rows_to_host(host.data(), device, tensor.reshape({1, tensor.size()}));
  return host;
}

}  // namespace hipgpt
