// Splits a text into words, which byte-pair merges never cross. GPT-2's regular expression defines them:
//   '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hipgpt {

/// The classes that the expression distinguishes: \p{L}, \p{N}, \s (Unicode's White_Space) and everything
/// else.
enum class CharClass : uint8_t { kLetter, kNumber, kSpace, kOther };

struct Character {
  CharClass kind;
  uint8_t size;  // bytes
};

/// Returns the character that starts at text[position]. A byte outside well-formed UTF-8 counts as one
/// kOther.
Character character_at(std::string_view text, size_t position);

/// Returns the end of the word that starts at text[begin], with begin < text.size(). The result depends on
/// where the text ends, because the pattern looks ahead.
size_t word_end(std::string_view text, size_t begin);

/// Returns the first position after `from` where cutting the text in two does not change its words, or
/// text.size(). It examines each character once, so its time is linear in the distance to the cut.
size_t next_safe_cut(std::string_view text, size_t from);

}  // namespace hipgpt
