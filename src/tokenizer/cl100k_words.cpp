// The words of Llama 3, which tiktoken first used for cl100k_base:
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
//   \s*[\r\n]+|\s+(?!\S)|\s+
// Those of Qwen 2 have \p{N} instead of \p{N}{1,3}. Those of cl100k_base today have \s++$ before
// \s*[\r\n]+, so that white space at the end of a text is one word, whatever lines it has.
#include "tokenizer/pretokenizer.h"
#include "tokenizer/pretokenizer_parts.h"

namespace hipgpt {
namespace {

enum class Numbers { kSingle, kUpToThree };
enum class LastSpace { kByLines, kOneWord };

/// Returns the end of a word that consists of neither letters nor numbers.
template <LastSpace last_space>
size_t other_end(std::string_view text, size_t begin) {
  const size_t first = text[begin] == ' ' && begin + 1 < text.size() ? begin + 1 : begin;
  if (character_at(text, first).kind == CharClass::kOther) {
    size_t end = run_end(text, first, CharClass::kOther);
    while (end < text.size() && is_line_end(text[end])) ++end;
    return end;
  }
  if (last_space == LastSpace::kOneWord && run_end(text, begin, CharClass::kSpace) == text.size())
    return text.size();
  return lines_end(text, begin);
}

template <Numbers numbers, LastSpace last_space>
size_t cl100k_word_end(std::string_view text, size_t begin) {
  if (const size_t length = contraction_length_in_any_case(text, begin)) return begin + length;
  const Character c = character_at(text, begin);
  const size_t next = begin + c.size;
  if (c.kind == CharClass::kLetter) return run_end(text, next, CharClass::kLetter);
  if (c.kind == CharClass::kNumber)
    return numbers == Numbers::kSingle ? next : three_numbers_end(text, begin);
  const bool letters_follow = next < text.size() && character_at(text, next).kind == CharClass::kLetter;
  if (letters_follow && !is_line_end(text[begin])) return run_end(text, next, CharClass::kLetter);
  return other_end<last_space>(text, begin);
}

/// Letters may follow any other character but a number, and line ends may follow signs. White space is never
/// safe because the pattern looks ahead there.
bool separates(std::string_view text, size_t left, size_t right) {
  const CharClass left_kind = character_at(text, left).kind, right_kind = character_at(text, right).kind;
  if (left_kind == CharClass::kSpace || left_kind == right_kind) return false;
  if (left_kind == CharClass::kOther)
    return right_kind == CharClass::kNumber || (right_kind == CharClass::kSpace && !is_line_end(text[right]));
  return true;
}

}  // namespace

const Pretokenizer kLlama3Words = {"llama3", cl100k_word_end<Numbers::kUpToThree, LastSpace::kByLines>,
                                   separates};
const Pretokenizer kQwen2Words = {"qwen2", cl100k_word_end<Numbers::kSingle, LastSpace::kByLines>, separates};
const Pretokenizer kCl100kWords = {"cl100k", cl100k_word_end<Numbers::kUpToThree, LastSpace::kOneWord>,
                                   separates};

}  // namespace hipgpt
