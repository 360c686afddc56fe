// The classes of characters that the regular expressions of byte-level BPE distinguish.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace hipgpt {

/// A character of UTF-8. A byte that is not part of one has size 1.
struct Decoded {
  int32_t code_point;  // negative for such a byte
  uint8_t size;        // bytes
};
Decoded decode_at(std::string_view text, size_t position);

/// The classes \p{L}, \p{N}, \s (Unicode's White_Space) and everything else.
enum class CharClass : uint8_t { kLetter, kNumber, kSpace, kOther };

struct Character {
  CharClass kind;
  uint8_t size;  // bytes
};

/// Where a character may stand in a word of capital letters followed by small ones. Letters without case and
/// marks (\p{M}) may stand in both parts.
enum class LetterCase : uint8_t { kNone, kUpper, kLower, kBoth };

struct CasedCharacter {
  LetterCase letter_case;
  uint8_t size;  // bytes
};

constexpr bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

constexpr bool is_line_end(char c) {
  return c == '\r' || c == '\n';
}

/// The class of each byte below 0x80, which is a character by itself. Other bytes get kNotAscii.
inline constexpr uint8_t kNotAscii = 0xFF;
inline constexpr std::array<uint8_t, 256> kAsciiClass = [] {
  std::array<uint8_t, 256> classes{};
  for (int c = 0; c < 256; ++c) {
    auto kind = CharClass::kOther;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) kind = CharClass::kLetter;
    if (c >= '0' && c <= '9') kind = CharClass::kNumber;
    if (is_white_space(c)) kind = CharClass::kSpace;
    classes[c] = c < 0x80 ? static_cast<uint8_t>(kind) : kNotAscii;
  }
  return classes;
}();

/// Returns the character that starts at text[position], which is not ASCII.
Character multibyte_character_at(std::string_view text, size_t position);

/// Returns the character that starts at text[position]. A byte outside well-formed UTF-8 counts as one
/// kOther.
inline Character character_at(std::string_view text, size_t position) {
  const uint8_t ascii = kAsciiClass[static_cast<uint8_t>(text[position])];
  if (ascii != kNotAscii) return {static_cast<CharClass>(ascii), 1};
  return multibyte_character_at(text, position);
}

/// Returns the same character's case.
CasedCharacter cased_character_at(std::string_view text, size_t position);

/// Skips ASCII letters eight at a time. Most words are shorter than that, so they cost one branch instead of
/// one per letter. Each byte of a 64-bit number is compared on its own and its top bit holds the result.
inline size_t skip_ascii_letters(std::string_view text, size_t position) {
  static_assert(std::endian::native == std::endian::little);
  constexpr uint64_t kEach = 0x0101010101010101;
  while (position + 8 <= text.size()) {
    uint64_t bytes;
    std::memcpy(&bytes, text.data() + position, 8);
    const uint64_t lower = (bytes | 0x20 * kEach) & 0x7F * kEach;
    const uint64_t from_a = lower + (0x80 - 'a') * kEach;
    const uint64_t after_z = lower + (0x80 - 'z' - 1) * kEach;
    const uint64_t others = ~(from_a & ~after_z & ~bytes) & 0x80 * kEach;
    if (others != 0) return position + static_cast<size_t>(std::countr_zero(others)) / 8;
    position += 8;
  }
  return position;
}

/// Skips characters of class `kind` from `position` on and returns where they end.
inline size_t run_end(std::string_view text, size_t position, CharClass kind) {
  if (kind == CharClass::kLetter) position = skip_ascii_letters(text, position);
  while (position < text.size()) {
    const uint8_t ascii = kAsciiClass[static_cast<uint8_t>(text[position])];
    if (ascii == static_cast<uint8_t>(kind)) {
      ++position;
    } else if (ascii == kNotAscii) {
      const Character c = multibyte_character_at(text, position);
      if (c.kind != kind) break;
      position += c.size;
    } else {
      break;
    }
  }
  return position;
}

/// Returns the first position at or after `position` where a character starts.
size_t character_boundary(std::string_view text, size_t position);

/// Returns where the character before text[position] starts; position > 0 is a boundary of characters.
size_t previous_character(std::string_view text, size_t position);

}  // namespace hipgpt
