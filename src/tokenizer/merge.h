// One rule of byte-pair encoding.
#pragma once

#include <cstdint>

namespace hipgpt {

/// left + right -> result, where all three are ids. A merge's rank is its index in the list; lower ranks
/// apply first.
struct Merge {
  uint32_t left, right, result;
  bool operator==(const Merge&) const = default;
};

}  // namespace hipgpt
