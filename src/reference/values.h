// The data type of all reference operations: a contiguous array of doubles.
#pragma once

#include <cstdint>
#include <vector>

namespace hipgpt::reference {

/// Holds a matrix or higher-dimensional array in row-major order. Each function documents the shapes of its
/// arguments.
using Values = std::vector<double>;

}  // namespace hipgpt::reference
