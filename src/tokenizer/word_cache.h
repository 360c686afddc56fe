// Caches the ids of recent words. A few thousand frequent words make up most of a text.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenizer/short_word.h"

namespace hipgpt {

/// The cache is direct-mapped: each word has one possible slot, and a newer word replaces an older one.
class WordCache {
 public:
  static constexpr size_t kMaxIds = 9;

  /// One cache line.
  struct alignas(64) Entry {
    ShortWord word;
    uint32_t id_count = 0;
    std::array<int32_t, kMaxIds> ids;
  };
  static_assert(sizeof(Entry) == 64);

  /// Sizes the cache for a text of that many bytes, within limits.
  explicit WordCache(size_t text_bytes)
      : entries_(std::bit_ceil(std::clamp<size_t>(text_bytes / 16, 16, kMaxEntries))),
        shift_(64 - std::countr_zero(entries_.size())) {}

  Entry& slot_of(const ShortWord& word) {
    return entries_[(word.low * 0x9E3779B97F4A7C15u ^ word.high * 0xC2B2AE3D27D4EB4Fu) >> shift_];
  }

 private:
  static constexpr size_t kMaxEntries = size_t{1} << 15;  // 2 MiB

  std::vector<Entry> entries_;
  int shift_;
};

}  // namespace hipgpt
