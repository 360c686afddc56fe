// Parts that the regular expressions of several pretokenizers have in common.
#pragma once

#include <cstddef>
#include <string_view>

#include "tokenizer/characters.h"

namespace hipgpt {

/// Matches \s+(?!\S)|\s+ at a space: white space before a word leaves its last character to that word.
inline size_t white_space_end(std::string_view text, size_t begin) {
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

/// Matches \s*[\r\n]+|\s+(?!\S)|\s+ at a space: white space ends with its last line end.
inline size_t lines_end(std::string_view text, size_t begin) {
  size_t end = run_end(text, begin, CharClass::kSpace);
  while (end > begin && !is_line_end(text[end - 1])) --end;
  return end > begin ? end : white_space_end(text, begin);
}

/// Returns the length of a match of '(?:[sdmt]|ll|ve|re) at text[position] in either case, or 0. U+017F is
/// also an s then: it is a small letter whose capital is S.
inline size_t contraction_length_in_any_case(std::string_view text, size_t position) {
  if (position >= text.size() || text[position] != '\'') return 0;
  const std::string_view rest = text.substr(position + 1, 2);
  if (rest == "\xC5\xBF") return 3;
  const auto lower = [&](size_t i) { return i < rest.size() ? static_cast<char>(rest[i] | 0x20) : '\0'; };
  switch (lower(0)) {
    case 's':
    case 'd':
    case 'm':
    case 't': return 2;
    case 'l': return lower(1) == 'l' ? 3 : 0;
    case 'v':
    case 'r': return lower(1) == 'e' ? 3 : 0;
    default: return 0;
  }
}

/// Matches \p{N}{1,3} at a number.
inline size_t three_numbers_end(std::string_view text, size_t position) {
  for (int i = 0; i < 3 && position < text.size(); ++i) {
    const Character c = character_at(text, position);
    if (c.kind != CharClass::kNumber) break;
    position += c.size;
  }
  return position;
}

}  // namespace hipgpt
