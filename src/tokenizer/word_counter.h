// Counts the distinct words of a text: all that training needs to know about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "tokenizer/special_tokens.h"

namespace hipgpt {

struct CountedWord {
  const char* data;  // in the text
  uint32_t size;
  uint32_t hash;
  uint64_t count;

  std::string_view bytes() const { return {data, size}; }
};

/// A hash table of words whose bytes stay in the text.
class WordTable {
 public:
  void add(const CountedWord& word);
  const std::vector<CountedWord>& words() const { return words_; }

 private:
  void grow();

  std::vector<CountedWord> words_;
  std::vector<uint32_t> slots_;  // 1 + index into words_, 0 for a free slot; linear probing
};

/// Counts line by line: a word never spans a line end, which is how Hugging Face's trainer reads a file.
/// Special tokens are cut out first. The words come in several tables, each word in one of them.
std::vector<WordTable> count_words(std::string_view text, const SpecialTokens& specials, int threads,
                                   const std::function<void(double fraction)>& progress);

}  // namespace hipgpt
