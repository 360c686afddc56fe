#include "checks/merges.h"

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "checks/check.h"

using Word = std::vector<uint32_t>;
using Pair = std::pair<uint32_t, uint32_t>;
Pair most_frequent_pair(const std::map<Word, uint64_t>& words);
Word merge(const Word& word, Pair pair, uint32_t id);

/// The tokenizer's id of a byte: 188 visible characters come first, from '!', then the others, from byte 0.
static uint32_t id_of(char byte) {
  return byte == ' ' ? 220 : static_cast<uint32_t>(byte - '!');
}

/// The words of a text with single spaces. As in GPT-2's tokenizer, a space belongs to the word after it.
static std::map<Word, uint64_t> count_words(const std::string& text) {
  std::map<Word, uint64_t> counts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin + 1), text.size());
    Word word;
    for (; begin < end; ++begin) word.push_back(id_of(text[begin]));
    ++counts[word];
  }
  return counts;
}

int main() {
  std::map<Word, uint64_t> words = count_words(exercise::kMergesText);
  uint32_t number = 0;
  for (const Pair& expected : exercise::kMerges) {
    const Pair pair = most_frequent_pair(words);
    if (pair != expected) {
      std::printf("merges: merge %u is (%u, %u), and should be (%u, %u)\n", number, pair.first, pair.second,
                  expected.first, expected.second);
      return 1;
    }
    std::map<Word, uint64_t> merged;
    for (const auto& [word, count] : words) merged[merge(word, pair, 256 + number)] += count;
    words = std::move(merged);
    ++number;
  }
  // No pair is left, so each word has become one token.
  for (const auto& [word, count] : words) {
    if (word.size() != 1) {
      std::printf("merges: a word still has %zu tokens; does merge() replace every pair?\n", word.size());
      return 1;
    }
  }
  return exercise::finish(true);
}
