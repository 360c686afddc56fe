// Checks floating-point tensors of a file and converts them to fp32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "safetensors_file.h"

namespace hipgpt {

/// Throws Error unless the tensor of the file has this shape, is F32, F16 or BF16, and is finite. Releases the
/// memory of its bytes meanwhile (SafetensorsFile::forget()).
void check_floats(const SafetensorsFile& file, const SafetensorsTensor& tensor,
                  const std::vector<int64_t>& shape);

/// Sets values[i] to element first + i as fp32, which represents every number of the narrower types exactly.
/// The tensor's data need not be aligned.
void read_floats(std::span<float> values, const SafetensorsTensor& tensor, size_t first = 0);

}  // namespace hipgpt
