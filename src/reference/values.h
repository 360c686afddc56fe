// What every operation of the reference computes with: doubles, one after the other.
#pragma once

#include <cstdint>
#include <vector>

namespace hipgpt::reference {

/// A matrix or a larger array, row by row. Its shape stands in the comment of the function that takes it.
using Values = std::vector<double>;

}  // namespace hipgpt::reference
