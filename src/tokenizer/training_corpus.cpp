#include "tokenizer/training_corpus.h"

#include <fmt/format.h>

#include <limits>

#include "error.h"
#include "tokenizer/parallel.h"

namespace hipgpt {
namespace {

struct Extent {
  size_t words = 0, symbols = 0;
};

/// Where each table's words and symbols begin in the corpus, and, last, where they end.
std::vector<Extent> lay_out(const std::vector<WordTable>& tables) {
  std::vector<Extent> begins(tables.size() + 1);
  for (size_t i = 0; i < tables.size(); ++i) {
    begins[i + 1] = begins[i];
    tables[i].for_each([&](std::string_view word, uint64_t) {
      if (word.size() < 2) return;
      begins[i + 1].words += 1;
      begins[i + 1].symbols += word.size();
    });
  }
  if (begins.back().symbols > std::numeric_limits<uint32_t>::max()) {
    throw Error(
        fmt::format("the distinct words of the text have {} bytes together; 4 GiB is the most: train on less",
                    begins.back().symbols));
  }
  return begins;
}

struct BytePairTallies {
  std::vector<uint64_t> counts = std::vector<uint64_t>(kBytePairs);
  std::vector<uint32_t> places = std::vector<uint32_t>(kBytePairs);

  void add(std::string_view word, uint64_t count) {
    for (size_t i = 1; i < word.size(); ++i) {
      const size_t pair = byte_pair(static_cast<uint8_t>(word[i - 1]), static_cast<uint8_t>(word[i]));
      counts[pair] += count;
      ++places[pair];
    }
  }
};

template <typename T>
void add_to(std::vector<T>& sum, const std::vector<T>& terms) {
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += terms[i];
}

}  // namespace

template <typename Symbol>
TrainingCorpus<Symbol>::TrainingCorpus(std::vector<WordTable> tables,
                                       const std::array<uint32_t, 256>& byte_ids, int threads)
    : byte_pair_counts(kBytePairs), byte_pair_places(kBytePairs) {
  const auto begins = lay_out(tables);
  words.resize(begins.back().words);
  symbols.resize(begins.back().symbols);
  std::vector<BytePairTallies> tallies(threads);
  parallel_for(tables.size(), threads, [&](size_t table, int thread) {
    Word* out = words.data() + begins[table].words;
    size_t at = begins[table].symbols;
    tables[table].for_each([&](std::string_view word, uint64_t count) {
      if (word.size() < 2) return;
      *out++ = {static_cast<uint32_t>(at), static_cast<uint32_t>(word.size()), count};
      for (const char byte : word) symbols[at++] = static_cast<Symbol>(byte_ids[static_cast<uint8_t>(byte)]);
      tallies[thread].add(word, count);
    });
    tables[table] = WordTable();
  });
  for (const BytePairTallies& tally : tallies) {
    add_to(byte_pair_counts, tally.counts);
    add_to(byte_pair_places, tally.places);
  }
}

template struct TrainingCorpus<uint16_t>;
template struct TrainingCorpus<uint32_t>;

}  // namespace hipgpt
