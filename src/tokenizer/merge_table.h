// Finds merges by their pair, the most frequent lookup in encoding.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/merge.h"

namespace hipgpt {

class MergeTable {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  /// If a pair has two merges, the later one counts, as in Hugging Face's loader.
  explicit MergeTable(std::span<const Merge> merges);

  /// Returns the rank of this pair's merge, or kNone.
  uint32_t rank(uint32_t left, uint32_t right) const {
    for (size_t slot = first_slot(left, right);; slot = (slot + 1) & (slots_.size() - 1)) {
      const Slot& s = slots_[slot];
      if ((s.left == left && s.right == right) || s.rank == kNone) return s.rank;
    }
  }

  size_t size() const { return results_.size(); }
  uint32_t result(uint32_t rank) const { return results_[rank]; }

 private:
  struct Slot {
    uint32_t left = 0, right = 0, rank = kNone;
  };

  size_t first_slot(uint32_t left, uint32_t right) const {
    return ((uint64_t{left} << 32 | right) * 0x9E3779B97F4A7C15u) >> shift_;
  }

  std::vector<Slot> slots_;  // open addressing, at most half full
  std::vector<uint32_t> results_;
  int shift_;
};

}  // namespace hipgpt
