// How often each pair of neighbouring tokens occurs: a hash table from pairs to counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hipgpt {

/// Two ids in one word. Pairs compare as (left, right) do.
using Pair = uint64_t;
constexpr Pair pair_of(uint32_t left, uint32_t right) {
  return Pair{left} << 32 | right;
}
constexpr uint32_t left_of(Pair pair) {
  return static_cast<uint32_t>(pair >> 32);
}
constexpr uint32_t right_of(Pair pair) {
  return static_cast<uint32_t>(pair);
}

/// Open addressing with linear probing. Pairs are never removed: a count may go down to zero and stay.
class PairCounts {
 public:
  PairCounts() : slots_(kFirstSize) {}

  /// The count of a pair, 0 for a new one. Valid until the next call.
  int64_t& operator[](Pair pair) {
    if (used_ >= slots_.size() / 3 * 2) grow();
    Slot& slot = slots_[find(pair)];
    if (slot.pair == kFree) {
      slot.pair = pair;
      ++used_;
    }
    return slot.count;
  }

 private:
  static constexpr size_t kFirstSize = 1 << 12;
  static constexpr Pair kFree = ~Pair{0};

  struct Slot {
    Pair pair = kFree;
    int64_t count = 0;
  };

  size_t find(Pair pair) const {
    const size_t mask = slots_.size() - 1;
    uint64_t hash = pair * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
    size_t slot = hash & mask;
    while (slots_[slot].pair != pair && slots_[slot].pair != kFree) slot = (slot + 1) & mask;
    return slot;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.pair != kFree) slots_[find(slot.pair)] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t used_ = 0;
};

}  // namespace hipgpt
