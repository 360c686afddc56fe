#include "tokenizer/pretokenizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

namespace hipgpt {
namespace {

constexpr bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

/// Letters and numbers that Unicode 15.1 and 16 added. Versions of utf8proc before 2.10 lack them, and ids
/// should not depend on the version.
struct AddedRange {
  char32_t first, last;
  CharClass kind;
};
constexpr AddedRange kAddedSinceUnicode15[] = {
    {0x1C89, 0x1C8A, CharClass::kLetter},   {0xA7CB, 0xA7CD, CharClass::kLetter},
    {0xA7DA, 0xA7DC, CharClass::kLetter},   {0x105C0, 0x105F3, CharClass::kLetter},
    {0x10D40, 0x10D49, CharClass::kNumber}, {0x10D4A, 0x10D65, CharClass::kLetter},
    {0x10D6F, 0x10D85, CharClass::kLetter}, {0x10EC2, 0x10EC4, CharClass::kLetter},
    {0x11380, 0x11389, CharClass::kLetter}, {0x1138B, 0x1138B, CharClass::kLetter},
    {0x1138E, 0x1138E, CharClass::kLetter}, {0x11390, 0x113B5, CharClass::kLetter},
    {0x113B7, 0x113B7, CharClass::kLetter}, {0x113D1, 0x113D1, CharClass::kLetter},
    {0x113D3, 0x113D3, CharClass::kLetter}, {0x116D0, 0x116E3, CharClass::kNumber},
    {0x11BC0, 0x11BE0, CharClass::kLetter}, {0x11BF0, 0x11BF9, CharClass::kNumber},
    {0x13460, 0x143FA, CharClass::kLetter}, {0x16100, 0x1611D, CharClass::kLetter},
    {0x16130, 0x16139, CharClass::kNumber}, {0x16D40, 0x16D6C, CharClass::kLetter},
    {0x16D70, 0x16D79, CharClass::kNumber}, {0x18CFF, 0x18CFF, CharClass::kLetter},
    {0x1CCF0, 0x1CCF9, CharClass::kNumber}, {0x1E5D0, 0x1E5ED, CharClass::kLetter},
    {0x1E5F0, 0x1E5F0, CharClass::kLetter}, {0x1E5F1, 0x1E5FA, CharClass::kNumber},
    {0x2EBF0, 0x2EE5D, CharClass::kLetter}};

CharClass class_of_unassigned(char32_t c) {
  for (const AddedRange& range : kAddedSinceUnicode15) {
    if (c >= range.first && c <= range.last) return range.kind;
  }
  return CharClass::kOther;
}

CharClass class_of(char32_t c) {
  if (is_white_space(c)) return CharClass::kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return CharClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return CharClass::kNumber;
    case UTF8PROC_CATEGORY_CN: return class_of_unassigned(c);
    default: return CharClass::kOther;
  }
}

/// Letters and numbers are assigned only up to U+323AF, so the table stops at U+40000 and takes 256 KiB.
CharClass class_from_table(char32_t c) {
  static const std::vector<CharClass> table = [] {
    std::vector<CharClass> classes(0x40000);
    for (char32_t i = 0; i < classes.size(); ++i) classes[i] = class_of(i);
    return classes;
  }();
  return c < table.size() ? table[c] : class_of(c);
}

/// The class of each byte below 0x80, which is a character by itself. Other bytes get kNotAscii.
constexpr uint8_t kNotAscii = 0xFF;
constexpr std::array<uint8_t, 256> kAsciiClass = [] {
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

uint8_t ascii_class(char c) {
  return kAsciiClass[static_cast<uint8_t>(c)];
}

Character multibyte_character_at(std::string_view text, size_t position) {
  utf8proc_int32_t code_point;
  const size_t available = std::min<size_t>(text.size() - position, 4);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + position);
  const auto size = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(available), &code_point);
  if (size <= 0) return {CharClass::kOther, 1};
  return {class_from_table(static_cast<char32_t>(code_point)), static_cast<uint8_t>(size)};
}

/// Skips ASCII letters eight at a time. Most words are shorter than that, so they cost one branch instead of
/// one per letter. Each byte of a 64-bit number is compared on its own and its top bit holds the result.
size_t skip_ascii_letters(std::string_view text, size_t position) {
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
size_t run_end(std::string_view text, size_t position, CharClass kind) {
  if (kind == CharClass::kLetter) position = skip_ascii_letters(text, position);
  while (position < text.size()) {
    const uint8_t ascii = ascii_class(text[position]);
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

/// Returns the length of a match of '(?:[sdmt]|ll|ve|re) at an apostrophe, or 0.
size_t contraction_length(std::string_view text, size_t apostrophe) {
  const std::string_view rest = text.substr(apostrophe + 1, 2);
  if (rest.empty()) return 0;
  switch (rest[0]) {
    case 's':
    case 'd':
    case 'm':
    case 't': return 2;
    default: return rest == "ll" || rest == "ve" || rest == "re" ? 3 : 0;
  }
}

/// Matches \s+(?!\S)|\s+ : white space before a word leaves its last character to that word.
size_t white_space_end(std::string_view text, size_t begin) {
  size_t end = begin;
  size_t last = begin;  // start of the run's last character
  while (end < text.size()) {
    const Character c = character_at(text, end);
    if (c.kind != CharClass::kSpace) break;
    last = end;
    end += c.size;
  }
  return end == text.size() || last == begin ? end : last;
}

/// Returns whether a word always ends between two such neighbours, whatever surrounds them. A word is a run
/// of one class, except for a leading space and the letters of a contraction after an apostrophe. White space
/// is never safe because the pattern looks ahead there.
bool always_separate(CharClass left, char left_byte, CharClass right) {
  if (left == CharClass::kSpace || left == right) return false;
  return !(left_byte == '\'' && right == CharClass::kLetter);
}

/// Returns the first position at or after `position` where a character starts. A well-formed character is
/// never inside another, so it suffices to check the three preceding bytes, where one could start.
size_t character_boundary(std::string_view text, size_t position) {
  for (size_t back = 1; back <= 3 && back <= position; ++back) {
    const size_t size = character_at(text, position - back).size;
    if (size > back) return position - back + size;
  }
  return position;
}

}  // namespace

Character character_at(std::string_view text, size_t position) {
  const uint8_t ascii = ascii_class(text[position]);
  if (ascii != kNotAscii) return {static_cast<CharClass>(ascii), 1};
  return multibyte_character_at(text, position);
}

size_t word_end(std::string_view text, size_t begin) {
  if (text[begin] == '\'') {
    if (const size_t length = contraction_length(text, begin)) return begin + length;
  }
  size_t first = begin;
  if (text[begin] == ' ' && begin + 1 < text.size()) ++first;  // " ?", unless white space follows
  Character c = character_at(text, first);
  if (c.kind == CharClass::kSpace) return white_space_end(text, begin);
  return run_end(text, first + c.size, c.kind);
}

size_t next_safe_cut(std::string_view text, size_t from) {
  if (from >= text.size()) return text.size();
  size_t position = character_boundary(text, from);
  while (position < text.size()) {
    const Character left = character_at(text, position);
    const size_t next = position + left.size;
    if (next >= text.size()) break;
    if (always_separate(left.kind, text[position], character_at(text, next).kind)) return next;
    position = next;
  }
  return text.size();
}

}  // namespace hipgpt
