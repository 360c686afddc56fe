// Byte-pair encoding (Sennrich, Haddow & Birch, ACL 2016) over bytes, as GPT-2 uses it.
#pragma once

#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/merge.h"
#include "tokenizer/pretokenizer.h"

namespace hipgpt::reference {

using Word = std::vector<uint32_t>;

/// Returns the words of a text as one-byte tokens, with their counts. A word ends where GPT-2's regular
/// expression (tokenizer/pretokenizer.h) ends it, or at the end of its line. Byte ids are 0 to 255.
inline std::map<Word, uint64_t> count_words(std::string_view text) {
  uint32_t id_of[256], next_id = 0;
  for (const uint8_t byte : bytes_in_alphabet_order()) id_of[byte] = next_id++;
  std::map<Word, uint64_t> counts;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
    for (size_t begin = 0; begin < line.size();) {
      Word word;
      for (const size_t end = word_end(line, begin); begin < end; ++begin) {
        word.push_back(id_of[static_cast<uint8_t>(line[begin])]);
      }
      ++counts[word];
    }
    text.remove_prefix(line.size());
  }
  return counts;
}

/// Returns the word with every (left, right) replaced, from left to right.
inline Word merged(const Word& word, const Merge& merge) {
  Word result;
  for (size_t i = 0; i < word.size(); ++i) {
    const bool is_pair = i + 1 < word.size() && word[i] == merge.left && word[i + 1] == merge.right;
    result.push_back(is_pair ? merge.result : word[i]);
    i += is_pair;
  }
  return result;
}

/// Repeatedly merges the most frequent pair of neighbours into a new token, until there are `vocab_size`
/// tokens or no pairs. Ties go to the pair with the smaller ids. Only the real trainer handles special
/// tokens.
inline std::vector<Merge> learn_bpe(std::string_view text, uint32_t vocab_size) {
  std::map<Word, uint64_t> words = count_words(text);
  std::vector<Merge> merges;
  for (uint32_t next_id = 256; next_id < vocab_size; ++next_id) {
    std::map<std::pair<uint32_t, uint32_t>, uint64_t> pairs;  // in ascending order
    for (const auto& [word, count] : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) pairs[{word[i], word[i + 1]}] += count;
    }
    if (pairs.empty()) break;
    auto best = pairs.begin();
    for (auto pair = pairs.begin(); pair != pairs.end(); ++pair) {
      if (pair->second > best->second) best = pair;
    }
    merges.push_back({best->first.first, best->first.second, next_id});
    std::map<Word, uint64_t> shorter;
    for (const auto& [word, count] : words) shorter[merged(word, merges.back())] += count;
    words = std::move(shorter);
  }
  return merges;
}

}  // namespace hipgpt::reference
