// Remembers the ids of recent words: most words of a text are a few thousand that come again and again.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace hipgpt {

/// A word has one slot it can be in, where a newer word replaces an older one, so the size is fixed.
class WordCache {
 public:
  static constexpr size_t kMaxWord = 16;  // bytes

  /// A word of at most kMaxWord bytes, with zeros after its end. The size tells "a" from "a\0".
  struct Key {
    uint64_t low = 0, high = 0;
    uint32_t size = 0;

    bool operator==(const Key&) const = default;
  };

  static constexpr size_t kMaxIds = 9;

  /// One cache line.
  struct alignas(64) Entry {
    Key key;
    uint32_t id_count = 0;
    std::array<int32_t, kMaxIds> ids;
  };
  static_assert(sizeof(Entry) == 64);

  /// Room for the words of a text of that many bytes, within limits.
  explicit WordCache(size_t text_bytes)
      : entries_(std::bit_ceil(std::clamp<size_t>(text_bytes / 16, 16, kMaxEntries))),
        shift_(64 - std::countr_zero(entries_.size())) {}

  /// Memory may be read up to `readable_end`. Two whole loads and a mask are faster than a copy.
  static Key key_of(std::string_view word, const char* readable_end) {
    Key key{.size = static_cast<uint32_t>(word.size())};
    if (readable_end - word.data() < static_cast<ptrdiff_t>(kMaxWord)) {
      std::memcpy(&key.low, word.data(), std::min<size_t>(word.size(), 8));
      if (word.size() > 8) std::memcpy(&key.high, word.data() + 8, word.size() - 8);
      return key;
    }
    std::memcpy(&key.low, word.data(), 8);
    std::memcpy(&key.high, word.data() + 8, 8);
    key.low &= kMasks[std::min<size_t>(word.size(), 8)];
    key.high &= kMasks[word.size() - std::min<size_t>(word.size(), 8)];
    return key;
  }

  Entry& slot_of(const Key& key) {
    return entries_[(key.low * 0x9E3779B97F4A7C15u ^ key.high * 0xC2B2AE3D27D4EB4Fu) >> shift_];
  }

 private:
  static constexpr size_t kMaxEntries = size_t{1} << 15;  // 2 MiB

  static_assert(std::endian::native == std::endian::little);
  /// kMasks[n] keeps the first n bytes.
  static constexpr std::array<uint64_t, 9> kMasks = [] {
    std::array<uint64_t, 9> masks{};
    for (int n = 1; n <= 8; ++n) masks[n] = ~uint64_t{0} >> (64 - 8 * n);
    return masks;
  }();

  std::vector<Entry> entries_;
  int shift_;
};

}  // namespace hipgpt
