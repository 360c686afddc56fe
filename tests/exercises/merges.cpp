// Exercise: learn the merges of byte-pair encoding.   Guide: chapter 2, src/tokenizer/README.md
//
// A word is a sequence of token ids; a text is a set of words with counts.
//   most_frequent_pair   returns the neighbouring tokens that occur most often in all words; a word that
//                        occurs 7 times counts 7 times. Ties go to the smaller pair: (1, 9) before (2, 0).
//   merge                returns the word with every (left, right) replaced by `id`, from left to right.
// The check calls them in turns, as a tokenizer's training does, and compares the merges with
// Tokenizer::train.
//
// Empty, it prints
// > merges: merge 0 is (0, 0), and should be (71, 68)
//
// Check it with ./scripts/exercise.sh merges

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

using Word = std::vector<uint32_t>;
using Pair = std::pair<uint32_t, uint32_t>;

Pair most_frequent_pair(const std::map<Word, uint64_t>& words) {
  // Write your code here.
  return {};
}

Word merge(const Word& word, Pair pair, uint32_t id) {
  // Write your code here.
  return word;
}
