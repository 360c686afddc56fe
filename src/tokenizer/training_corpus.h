// The distinct words of a text as symbols, laid out for merging: what is left of the text once they are
// counted.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tokenizer/word_counter.h"

namespace hipgpt {

/// Two bytes as one index, for tables of all pairs of bytes.
constexpr size_t kBytePairs = 256 * 256;
constexpr size_t byte_pair(uint8_t left, uint8_t right) {
  return size_t{left} * 256 + right;
}

/// Symbol is uint16_t for a vocabulary that fits: half the memory, and twice as many words in a cache line.
template <typename Symbol>
struct TrainingCorpus {
  struct Word {
    uint32_t begin;  // in symbols
    uint32_t size;   // shrinks as symbols merge; the rest of the word's room is left unused
    uint64_t count;
  };

  std::vector<Symbol> symbols;
  std::vector<Word> words;                 // those of two bytes or more: the others have nothing to merge
  std::vector<uint64_t> byte_pair_counts;  // occurrences in the text
  std::vector<uint32_t> byte_pair_places;  // occurrences in `words`, where each word counts once

  /// Takes the tables, and frees each one when its words are copied.
  TrainingCorpus(std::vector<WordTable> tables, const std::array<uint32_t, 256>& byte_ids, int threads);
};

extern template struct TrainingCorpus<uint16_t>;
extern template struct TrainingCorpus<uint32_t>;

}  // namespace hipgpt
