#include "tokenizer/training_corpus.h"

#include <fmt/format.h>

#include <limits>
#include <mutex>

#include "error.h"
#include "util/parallel.h"

namespace hipgpt {
namespace {

struct Extent {
  size_t words = 0, symbols = 0;
};

/// Returns where each table's words and symbols begin in the corpus. The last entry is where they end.
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
    throw Error(fmt::format(
        "the distinct words of the text have {} bytes in total; the limit is 4 GiB: train on less text",
        begins.back().symbols));
  }
  return begins;
}

}  // namespace

/// The arrays are not zeroed, so they take up memory only as fast as the tables release it.
template <typename Symbol>
TrainingCorpus<Symbol>::TrainingCorpus(std::vector<WordTable> tables,
                                       const std::array<uint32_t, 256>& byte_ids, int threads) {
  const auto begins = lay_out(tables);
  symbols = std::make_unique_for_overwrite<Symbol[]>(begins.back().symbols);
  word_memory_ = std::make_unique_for_overwrite<Word[]>(begins.back().words);
  words = {word_memory_.get(), begins.back().words};
  parallel_for(tables.size(), threads, [&](size_t table, int) {
    Word* out = words.data() + begins[table].words;
    size_t at = begins[table].symbols;
    tables[table].for_each([&](std::string_view word, uint64_t count) {
      if (word.size() < 2) return;
      *out++ = {static_cast<uint32_t>(at), static_cast<uint32_t>(word.size()), count};
      for (const char byte : word) symbols[at++] = static_cast<Symbol>(byte_ids[static_cast<uint8_t>(byte)]);
    });
    tables[table] = WordTable();
  });
}

template <typename Symbol>
std::vector<CountedPair> TrainingCorpus<Symbol>::count_pairs(uint64_t least, size_t parts,
                                                             int threads) const {
  struct Tally {
    uint64_t count, places;
  };
  std::vector<CountedPair> pairs;
  std::mutex lock;
  parallel_for(parts, threads, [&](size_t part, int) {
    PairTable<Tally> tallies;
    for_each_pair(part, parts, [&](Pair pair, uint32_t word) {
      Tally& tally = tallies[pair];
      tally.count += words[word].count;
      ++tally.places;
    });
    const std::lock_guard guard(lock);
    tallies.for_each([&](Pair pair, const Tally& tally) {
      if (tally.count >= least) pairs.push_back({pair, tally.count, tally.places});
    });
  });
  return pairs;
}

template struct TrainingCorpus<uint16_t>;
template struct TrainingCorpus<uint32_t>;

}  // namespace hipgpt
