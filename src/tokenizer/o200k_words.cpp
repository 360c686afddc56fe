// The words of o200k_base. Letters form words of capitals and then small letters. With
//   U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]  and  L = [\p{Ll}\p{Lm}\p{Lo}\p{M}]
// the expression is
//   [^\r\n\p{L}\p{N}]?U*L+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?U+L*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|
//   \p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
#include "tokenizer/pretokenizer.h"
#include "tokenizer/pretokenizer_parts.h"

namespace hipgpt {
namespace {

/// What the letters and marks from a position on give to both alternatives.
struct LettersMatch {
  size_t with_small;    // the end of U*L+, or 0 if it does not match
  size_t all_capitals;  // the end of U+, which is its start if that does not match
};

/// U* takes as much as it can. If no small letter follows, it gives characters back until the last one is
/// in L too: a letter without case or a mark.
LettersMatch match_letters(std::string_view text, size_t begin) {
  LettersMatch match{0, begin};
  for (size_t position = begin; position < text.size();) {
    const CasedCharacter c = cased_character_at(text, position);
    if (c.letter_case == LetterCase::kNone) break;
    if (c.letter_case == LetterCase::kLower) {
      while (position < text.size()) {
        const CasedCharacter small = cased_character_at(text, position);
        if (small.letter_case != LetterCase::kLower && small.letter_case != LetterCase::kBoth) break;
        position += small.size;
      }
      match.with_small = position;
      break;
    }
    position += c.size;
    match.all_capitals = position;
    if (c.letter_case == LetterCase::kBoth) match.with_small = position;
  }
  return match;
}

/// Returns the end of the letters that begin at `begin` or after the one character there, or `begin`. The
/// order is the expression's: small letters first, and first after the character.
size_t letters_end(std::string_view text, size_t begin) {
  const Character first = character_at(text, begin);
  const bool is_prefix =
      first.kind != CharClass::kLetter && first.kind != CharClass::kNumber && !is_line_end(text[begin]);
  const size_t next = begin + first.size;
  const LettersMatch after = is_prefix ? match_letters(text, next) : LettersMatch{0, next};
  if (after.with_small > 0) return after.with_small;
  const LettersMatch here = match_letters(text, begin);
  if (here.with_small > 0) return here.with_small;
  return is_prefix && after.all_capitals > next ? after.all_capitals : here.all_capitals;
}

size_t o200k_word_end(std::string_view text, size_t begin) {
  if (const size_t end = letters_end(text, begin); end > begin)
    return end + contraction_length_in_any_case(text, end);
  if (character_at(text, begin).kind == CharClass::kNumber) return three_numbers_end(text, begin);
  const size_t first = text[begin] == ' ' && begin + 1 < text.size() ? begin + 1 : begin;
  if (character_at(text, first).kind != CharClass::kOther) return lines_end(text, begin);
  size_t end = run_end(text, first, CharClass::kOther);
  while (end < text.size() && (is_line_end(text[end]) || text[end] == '/')) ++end;
  return end;
}

/// Marks and contractions may follow letters, letters may follow any other character but a number, and line
/// ends may follow signs. White space is never safe because the pattern looks ahead there.
bool separates(std::string_view text, size_t left, size_t right) {
  const CharClass left_kind = character_at(text, left).kind, right_kind = character_at(text, right).kind;
  if (left_kind == CharClass::kSpace || left_kind == right_kind) return false;
  if (left_kind == CharClass::kLetter && right_kind == CharClass::kOther)
    return text[right] != '\'' && cased_character_at(text, right).letter_case == LetterCase::kNone;
  if (left_kind == CharClass::kOther)
    return right_kind == CharClass::kNumber || (right_kind == CharClass::kSpace && !is_line_end(text[right]));
  return true;
}

}  // namespace

const Pretokenizer kO200kWords = {"o200k", o200k_word_end, separates};

}  // namespace hipgpt
