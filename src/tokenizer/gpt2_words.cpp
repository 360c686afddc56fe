// The words of GPT-2:
//   '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// and those of StarCoder and SmolLM, which split off each digit before this expression sees the text. Other
// vocabularies split off whole numbers.
#include "tokenizer/pretokenizer.h"
#include "tokenizer/pretokenizer_parts.h"

namespace hipgpt {
namespace {

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

/// A word is a run of one class, except for a leading space and the letters of a contraction after an
/// apostrophe. White space is never safe because the pattern looks ahead there.
bool separates(std::string_view text, size_t left, size_t right) {
  const CharClass left_kind = character_at(text, left).kind, right_kind = character_at(text, right).kind;
  if (left_kind == CharClass::kSpace || left_kind == right_kind) return false;
  return !(text[left] == '\'' && right_kind == CharClass::kLetter);
}

/// A digit ends the text that the expression sees, so white space before it is one word.
template <bool kEachDigit>
size_t word_end_before_digits(std::string_view text, size_t begin) {
  const Character c = character_at(text, begin);
  if (c.kind == CharClass::kNumber)
    return kEachDigit ? begin + c.size : run_end(text, begin + c.size, CharClass::kNumber);
  if (c.kind == CharClass::kSpace) {
    const size_t end = run_end(text, begin, CharClass::kSpace);
    if (end < text.size() && character_at(text, end).kind == CharClass::kNumber) return end;
  }
  return word_end(text, begin);
}

}  // namespace

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

const Pretokenizer kGpt2Words = {"gpt2", word_end, separates};
const Pretokenizer kDigitsAndGpt2Words = {"digits and gpt2", word_end_before_digits<true>, separates};
const Pretokenizer kNumbersAndGpt2Words = {"numbers and gpt2", word_end_before_digits<false>, separates};

}  // namespace hipgpt
