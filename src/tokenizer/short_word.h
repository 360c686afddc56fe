// Stores a word of up to 16 bytes as two numbers: fast to compare and independent of the source text.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace hipgpt {

struct ShortWord {
  static constexpr size_t kMaxBytes = 16;

  uint64_t low = 0, high = 0;  // the bytes, with zeros after the end
  uint32_t size = 0;           // tells "a" from "a\0"

  bool operator==(const ShortWord&) const = default;

  /// Converts a word of at most kMaxBytes. Memory up to `readable_end` must be readable: two full loads and a
  /// mask are faster than a copy.
  static ShortWord of(std::string_view word, const char* readable_end) {
    ShortWord result{.size = static_cast<uint32_t>(word.size())};
    if (readable_end - word.data() < static_cast<ptrdiff_t>(kMaxBytes)) {
      std::memcpy(&result.low, word.data(), std::min<size_t>(word.size(), 8));
      if (word.size() > 8) std::memcpy(&result.high, word.data() + 8, word.size() - 8);
      return result;
    }
    std::memcpy(&result.low, word.data(), 8);
    std::memcpy(&result.high, word.data() + 8, 8);
    result.low &= kMasks[std::min<size_t>(word.size(), 8)];
    result.high &= kMasks[word.size() - std::min<size_t>(word.size(), 8)];
    return result;
  }

 private:
  static_assert(std::endian::native == std::endian::little);
  /// kMasks[n] keeps the first n bytes.
  static constexpr std::array<uint64_t, 9> kMasks = [] {
    std::array<uint64_t, 9> masks{};
    for (int n = 1; n <= 8; ++n) masks[n] = ~uint64_t{0} >> (64 - 8 * n);
    return masks;
  }();
};

}  // namespace hipgpt
