#include "tokenizer/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

namespace hipgpt {
namespace {

/// Letters, marks and numbers that Unicode 15.1 and 16 added. Versions of utf8proc before 2.10 lack them, and
/// ids should not depend on the version. Kinds of marks and of numbers are not distinguished.
struct AddedRange {
  char32_t first, last;
  utf8proc_category_t category;
};
constexpr AddedRange kAddedSinceUnicode15[] = {  // in order
    {0x897, 0x897, UTF8PROC_CATEGORY_MN},     {0x1C89, 0x1C89, UTF8PROC_CATEGORY_LU},
    {0x1C8A, 0x1C8A, UTF8PROC_CATEGORY_LL},   {0xA7CB, 0xA7CC, UTF8PROC_CATEGORY_LU},
    {0xA7CD, 0xA7CD, UTF8PROC_CATEGORY_LL},   {0xA7DA, 0xA7DA, UTF8PROC_CATEGORY_LU},
    {0xA7DB, 0xA7DB, UTF8PROC_CATEGORY_LL},   {0xA7DC, 0xA7DC, UTF8PROC_CATEGORY_LU},
    {0x105C0, 0x105F3, UTF8PROC_CATEGORY_LO}, {0x10D40, 0x10D49, UTF8PROC_CATEGORY_ND},
    {0x10D4A, 0x10D4D, UTF8PROC_CATEGORY_LO}, {0x10D4E, 0x10D4E, UTF8PROC_CATEGORY_LM},
    {0x10D4F, 0x10D4F, UTF8PROC_CATEGORY_LO}, {0x10D50, 0x10D65, UTF8PROC_CATEGORY_LU},
    {0x10D69, 0x10D6D, UTF8PROC_CATEGORY_MN}, {0x10D6F, 0x10D6F, UTF8PROC_CATEGORY_LM},
    {0x10D70, 0x10D85, UTF8PROC_CATEGORY_LL}, {0x10EC2, 0x10EC4, UTF8PROC_CATEGORY_LO},
    {0x10EFC, 0x10EFC, UTF8PROC_CATEGORY_MN}, {0x11380, 0x11389, UTF8PROC_CATEGORY_LO},
    {0x1138B, 0x1138B, UTF8PROC_CATEGORY_LO}, {0x1138E, 0x1138E, UTF8PROC_CATEGORY_LO},
    {0x11390, 0x113B5, UTF8PROC_CATEGORY_LO}, {0x113B7, 0x113B7, UTF8PROC_CATEGORY_LO},
    {0x113B8, 0x113C0, UTF8PROC_CATEGORY_MN}, {0x113C2, 0x113C2, UTF8PROC_CATEGORY_MN},
    {0x113C5, 0x113C5, UTF8PROC_CATEGORY_MN}, {0x113C7, 0x113CA, UTF8PROC_CATEGORY_MN},
    {0x113CC, 0x113D0, UTF8PROC_CATEGORY_MN}, {0x113D1, 0x113D1, UTF8PROC_CATEGORY_LO},
    {0x113D2, 0x113D2, UTF8PROC_CATEGORY_MN}, {0x113D3, 0x113D3, UTF8PROC_CATEGORY_LO},
    {0x113E1, 0x113E2, UTF8PROC_CATEGORY_MN}, {0x116D0, 0x116E3, UTF8PROC_CATEGORY_ND},
    {0x11BC0, 0x11BE0, UTF8PROC_CATEGORY_LO}, {0x11BF0, 0x11BF9, UTF8PROC_CATEGORY_ND},
    {0x11F5A, 0x11F5A, UTF8PROC_CATEGORY_MN}, {0x13460, 0x143FA, UTF8PROC_CATEGORY_LO},
    {0x16100, 0x1611D, UTF8PROC_CATEGORY_LO}, {0x1611E, 0x1612F, UTF8PROC_CATEGORY_MN},
    {0x16130, 0x16139, UTF8PROC_CATEGORY_ND}, {0x16D40, 0x16D42, UTF8PROC_CATEGORY_LM},
    {0x16D43, 0x16D6A, UTF8PROC_CATEGORY_LO}, {0x16D6B, 0x16D6C, UTF8PROC_CATEGORY_LM},
    {0x16D70, 0x16D79, UTF8PROC_CATEGORY_ND}, {0x18CFF, 0x18CFF, UTF8PROC_CATEGORY_LO},
    {0x1CCF0, 0x1CCF9, UTF8PROC_CATEGORY_ND}, {0x1E5D0, 0x1E5ED, UTF8PROC_CATEGORY_LO},
    {0x1E5EE, 0x1E5EF, UTF8PROC_CATEGORY_MN}, {0x1E5F0, 0x1E5F0, UTF8PROC_CATEGORY_LO},
    {0x1E5F1, 0x1E5FA, UTF8PROC_CATEGORY_ND}, {0x2EBF0, 0x2EE5D, UTF8PROC_CATEGORY_LO}};

utf8proc_category_t category_of(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  if (category != UTF8PROC_CATEGORY_CN) return category;
  const auto* range = std::ranges::lower_bound(kAddedSinceUnicode15, c, {}, &AddedRange::last);
  return range != std::end(kAddedSinceUnicode15) && c >= range->first ? range->category : category;
}

/// Both properties of a character, as the table below stores them.
struct Properties {
  CharClass kind;
  LetterCase letter_case;
};

Properties properties_of(char32_t c) {
  if (is_white_space(c)) return {CharClass::kSpace, LetterCase::kNone};
  switch (category_of(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return {CharClass::kLetter, LetterCase::kUpper};
    case UTF8PROC_CATEGORY_LL: return {CharClass::kLetter, LetterCase::kLower};
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return {CharClass::kLetter, LetterCase::kBoth};
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return {CharClass::kOther, LetterCase::kBoth};
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return {CharClass::kNumber, LetterCase::kNone};
    default: return {CharClass::kOther, LetterCase::kNone};
  }
}

/// Letters and numbers are assigned only up to U+323AF, so the table stops at U+40000 and takes 512 KiB.
inline Properties properties_from_table(char32_t c) {
  static const std::vector<Properties> table = [] {
    std::vector<Properties> all(0x40000);
    for (char32_t i = 0; i < all.size(); ++i) all[i] = properties_of(i);
    return all;
  }();
  return c < table.size() ? table[c] : properties_of(c);
}

inline Decoded decode(std::string_view text, size_t position) {
  utf8proc_int32_t code_point;
  const size_t available = std::min<size_t>(text.size() - position, 4);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + position);
  const auto size = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(available), &code_point);
  if (size <= 0) return {-1, 1};
  return {code_point, static_cast<uint8_t>(size)};
}

}  // namespace

Decoded decode_at(std::string_view text, size_t position) {
  return decode(text, position);
}

Character multibyte_character_at(std::string_view text, size_t position) {
  const auto [code_point, size] = decode(text, position);
  if (code_point < 0) return {CharClass::kOther, 1};
  return {properties_from_table(static_cast<char32_t>(code_point)).kind, size};
}

CasedCharacter cased_character_at(std::string_view text, size_t position) {
  const auto [code_point, size] = decode(text, position);
  if (code_point < 0) return {LetterCase::kNone, 1};
  return {properties_from_table(static_cast<char32_t>(code_point)).letter_case, size};
}

/// A well-formed character is never inside another, so it suffices to check the three preceding bytes, where
/// one could start.
size_t character_boundary(std::string_view text, size_t position) {
  for (size_t back = 1; back <= 3 && back <= position; ++back) {
    const size_t size = character_at(text, position - back).size;
    if (size > back) return position - back + size;
  }
  return position;
}

size_t previous_character(std::string_view text, size_t position) {
  for (size_t back = 2; back <= 4 && back <= position; ++back) {
    if (character_at(text, position - back).size == back) return position - back;
  }
  return position - 1;
}

}  // namespace hipgpt
