// Conversion of matrices to the formats that generation reads: bf16 or int8, stored [out,in].
#pragma once

#include "operands.h"
#include "safetensors_file.h"

namespace hipgpt {

/// Fills `weight` (bf16 or int8 [out,in]) with the nearest values to a tensor of a file. `layout` tells how the
/// file stores it; a file may have more rows than `weight` if both are [out,in].
///
/// In int8, the largest magnitude of a group of 64 becomes 127: scale = max_k |w_k| / 127, and the error of a
/// value is at most scale / 2.
void convert_weight(Tensor weight, const SafetensorsTensor& stored, Layout layout);

}  // namespace hipgpt
