// One rule of byte-pair encoding.
#pragma once

#include <cstdint>

namespace hipgpt {

/// left + right -> result, all three of them ids. Its rank is its place in the list: lower goes first.
struct Merge {
  uint32_t left, right, result;
  bool operator==(const Merge&) const = default;
};

}  // namespace hipgpt
