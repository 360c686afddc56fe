// Splits a text into words, which byte-pair merges never cross. A regular expression defines the words of a
// vocabulary. A small state machine in a file of its own matches it. README.md has a table of them.
#pragma once

#include <cstddef>
#include <string_view>

#include "tokenizer/characters.h"

namespace hipgpt {

/// A way to split texts into words.
struct Pretokenizer {
  /// Identifies it in the hash of a tokenizer.
  const char* name;

  /// Returns the end of the word that starts at text[begin], with begin < text.size(). The result depends on
  /// where the text ends, because the expressions look ahead.
  size_t (*word_end)(std::string_view text, size_t begin);

  /// Returns whether a word always ends between the neighbouring characters that start at `left` and `right`,
  /// whatever surrounds them, also if the text ends there.
  bool (*separates)(std::string_view text, size_t left, size_t right);
};

extern const Pretokenizer kGpt2Words;
/// Single digits, and GPT-2's words between them. StarCoder and SmolLM split so.
extern const Pretokenizer kDigitsAndGpt2Words;
/// Whole numbers, and GPT-2's words between them.
extern const Pretokenizer kNumbersAndGpt2Words;
extern const Pretokenizer kLlama3Words;
extern const Pretokenizer kQwen2Words;
/// The words of cl100k_base as tiktoken 0.8 and later splits them. Earlier versions split as Llama 3 does.
extern const Pretokenizer kCl100kWords;
extern const Pretokenizer kO200kWords;

/// GPT-2's word_end().
size_t word_end(std::string_view text, size_t begin);

/// Returns the first position after `from` where cutting the text in two does not change its words, or
/// text.size(). It examines each character once, so its time is linear in the distance to the cut.
size_t next_safe_cut(const Pretokenizer& pretokenizer, std::string_view text, size_t from);

/// The same for GPT-2's words.
inline size_t next_safe_cut(std::string_view text, size_t from) {
  return next_safe_cut(kGpt2Words, text, from);
}

}  // namespace hipgpt
