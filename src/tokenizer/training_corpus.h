// The distinct words of a text as symbols, laid out for merging: what is left of the text once they are
// counted.
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

/// Symbol is uint16_t for a vocabulary that fits: half the memory, and twice as many words in a cache line.
template <typename Symbol>
struct TrainingCorpus {
  struct Word {
    uint32_t begin;  // in symbols
    uint32_t size;   // shrinks as symbols merge; the rest of the word's room is left unused
    uint64_t count;
  };

  std::span<Word> words;  // those of two bytes or more: the others have nothing to merge
  std::unique_ptr<Symbol[]> symbols;

  /// Takes the tables, and frees each one when its words are copied.
  TrainingCorpus(std::vector<WordTable> tables, const std::array<uint32_t, 256>& byte_ids, int threads);

  /// The pairs that occur `least` times or more in the text, in no order. It counts in turn those whose hash
  /// gives part 0, 1, ... of `parts`: more parts take longer and need less memory.
  std::vector<CountedPair> count_pairs(uint64_t least, size_t parts, int threads) const;

  /// Calls f(pair, index of the word) for all neighbours, those whose hash gives that part.
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
  /// The top half of the hash as a fraction, times the number of parts. The table of a part uses the other
  /// half.
  static size_t part_of(Pair pair, size_t parts) { return (hash_of(pair) >> 32) * parts >> 32; }

  std::unique_ptr<Word[]> word_memory_;
};

extern template struct TrainingCorpus<uint16_t>;
extern template struct TrainingCorpus<uint32_t>;

}  // namespace hipgpt
