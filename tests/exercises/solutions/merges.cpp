// Two passes: count the pairs, then rebuild the word. See tests/exercises/merges.cpp for the task.
// > merges: right     done

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

using Word = std::vector<uint32_t>;
using Pair = std::pair<uint32_t, uint32_t>;

Pair most_frequent_pair(const std::map<Word, uint64_t>& words) {
  std::map<Pair, uint64_t> counts;
  for (const auto& [word, count] : words)
    for (std::size_t i = 0; i + 1 < word.size(); ++i) counts[{word[i], word[i + 1]}] += count;
  Pair best;
  uint64_t most = 0;
  for (const auto& [pair, count] : counts) {
    if (count > most) {  // in ascending order, so the first of a tie stays
      best = pair;
      most = count;
    }
  }
  return best;
}

Word merge(const Word& word, Pair pair, uint32_t id) {
  Word result;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const bool is_pair = i + 1 < word.size() && Pair(word[i], word[i + 1]) == pair;
    result.push_back(is_pair ? id : word[i]);
    if (is_pair) ++i;
  }
  return result;
}
