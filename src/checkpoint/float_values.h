// Tensors of floating-point numbers in a file: what is checked of them, and how they become fp32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "safetensors_file.h"

namespace hipgpt {

/// Error unless the tensor has this shape, is F32, F16 or BF16, and finite. `path` is its file's, for the
/// message.
void check_floats(const std::string& path, const SafetensorsTensor& tensor,
                  const std::vector<int64_t>& shape);

/// values[i] = element first + i, as fp32, which holds every number of the narrower types exactly. The tensor
/// may lie at any address.
void read_floats(std::span<float> values, const SafetensorsTensor& tensor, size_t first = 0);

}  // namespace hipgpt
