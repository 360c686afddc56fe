// Cuts a text into the words that byte-pair merges stay within, as GPT-2's regular expression does:
//   '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hipgpt {

/// What the expression can tell apart: \p{L}, \p{N}, \s (Unicode's White_Space), and everything else.
enum class CharClass : uint8_t { kLetter, kNumber, kSpace, kOther };

struct Character {
  CharClass kind;
  uint8_t size;  // bytes
};

/// The character that starts at text[position]. A byte that is not part of well-formed UTF-8 is a kOther.
Character character_at(std::string_view text, size_t position);

/// The end of the word that starts at text[begin], begin < text.size(). The end of the text matters.
size_t word_end(std::string_view text, size_t begin);

/// The first position after `from` where the text may be cut in two whose words are, together, those of the
/// whole; text.size() when there is none. Looks at each character once, so its time is linear in how far it
/// has to go.
size_t next_safe_cut(std::string_view text, size_t from);

}  // namespace hipgpt
