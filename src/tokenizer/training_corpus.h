// Holds the distinct words of a text as symbols, laid out for merging. After counting, training needs nothing
// else from the text.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tokenizer/pair_table.h"
#include "tokenizer/word_counter.h"

namespace hipgpt {

/// A pair of neighbours in the words.
struct CountedPair {
  Pair pair;
  uint64_t count;   // occurrences in the text
  uint64_t places;  // occurrences in the distinct words
};

/// Symbol is uint16_t if the vocabulary fits: this halves the memory and doubles the words per cache line.
template <typename Symbol>
struct TrainingCorpus {
  struct Word {
    uint32_t begin;  // index into symbols
    uint32_t size;   // shrinks as symbols merge; the freed space stays unused
    uint64_t count;
  };

  std::span<Word> words;  // words of two bytes or more; shorter ones have nothing to merge
  std::unique_ptr<Symbol[]> symbols;

  /// Takes ownership of the tables and frees each one after copying its words.
  TrainingCorpus(std::vector<WordTable> tables, const std::array<uint32_t, 256>& byte_ids, int threads);

  /// Returns the pairs that occur at least `least` times in the text, unsorted. It counts the pairs in
  /// `parts` passes, selected by hash: more parts take longer but need less memory.
  std::vector<CountedPair> count_pairs(uint64_t least, size_t parts, int threads) const;

  /// Calls f(pair, word index) for every pair of neighbours whose hash selects `part`.
  template <typename F>
  void for_each_pair(size_t part, size_t parts, F&& f) const {
    for (uint32_t w = 0; w < words.size(); ++w) {
      const Symbol* symbol = symbols.get() + words[w].begin;
      for (uint32_t i = 1; i < words[w].size; ++i) {
        const Pair pair = pair_of(symbol[i - 1], symbol[i]);
        if (part_of(pair, parts) == part) f(pair, w);
      }
    }
  }

 private:
  /// Scales the top half of the hash to a part number. The hash table of a part uses the other half.
  static size_t part_of(Pair pair, size_t parts) { return (hash_of(pair) >> 32) * parts >> 32; }

  std::unique_ptr<Word[]> word_memory_;
};

extern template struct TrainingCorpus<uint16_t>;
extern template struct TrainingCorpus<uint32_t>;

}  // namespace hipgpt
