// A hash table keyed by pairs of neighbouring tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hipgpt {

/// Packs two ids into 64 bits. Pairs compare like (left, right).
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

constexpr uint64_t hash_of(Pair pair) {
  const uint64_t hash = pair * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 32;
}

/// The table uses open addressing with linear probing. Pairs are never removed.
template <typename Value>
class PairTable {
 public:
  PairTable() : slots_(kFirstSize) {}

  /// Returns the value of a pair, or Value() for a new pair. The reference is valid until the next call.
  Value& operator[](Pair pair) {
    if (used_ >= slots_.size() / 3 * 2) grow();
    Slot& slot = slots_[slot_of(pair)];
    if (slot.pair == kFree) {
      slot.pair = pair;
      ++used_;
    }
    return slot.value;
  }

  /// Returns nullptr if the table does not contain the pair.
  Value* find(Pair pair) {
    Slot& slot = slots_[slot_of(pair)];
    return slot.pair == kFree ? nullptr : &slot.value;
  }

  /// Calls f(pair, value) for each pair.
  template <typename F>
  void for_each(F&& f) const {
    for (const Slot& slot : slots_) {
      if (slot.pair != kFree) f(slot.pair, slot.value);
    }
  }

 private:
  static constexpr size_t kFirstSize = 1 << 12;
  static constexpr Pair kFree = ~Pair{0};

  struct Slot {
    Pair pair = kFree;
    Value value{};
  };

  size_t slot_of(Pair pair) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = hash_of(pair) & mask;
    while (slots_[slot].pair != pair && slots_[slot].pair != kFree) slot = (slot + 1) & mask;
    return slot;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.pair != kFree) slots_[slot_of(slot.pair)] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t used_ = 0;
};

}  // namespace hipgpt
