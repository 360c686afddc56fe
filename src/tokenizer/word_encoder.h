// Encodes text word by word: a word is its bytes, on which merges are made, lowest rank first.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/word_cache.h"

namespace hipgpt {

/// What one thread needs to encode. It keeps references to the table and the ids of the bytes.
class WordEncoder {
 public:
  /// `text_bytes`: about how much there will be to encode.
  WordEncoder(const MergeTable& merges, const std::array<uint32_t, 256>& byte_ids, size_t text_bytes)
      : merges_(merges), byte_ids_(byte_ids), cache_(text_bytes) {}

  /// Appends the ids of `text`, which has no special tokens in it.
  void encode(std::string_view text, std::vector<int32_t>& ids);

 private:
  struct Node {
    uint32_t id, previous, next;
  };

  void encode_new_word(std::string_view word, const ShortWord& key, WordCache::Entry& slot,
                       std::vector<int32_t>& ids);
  void encode_word(std::string_view word, std::vector<int32_t>& ids);
  void merge_short(std::string_view word, std::vector<int32_t>& ids);
  void merge_long(std::string_view word, std::vector<int32_t>& ids);
  void queue_pair(uint32_t position);
  uint32_t pop_rank();
  void merge_rank(uint32_t rank);
  void merge_at(uint32_t position, uint32_t rank);

  const MergeTable& merges_;
  const std::array<uint32_t, 256>& byte_ids_;
  WordCache cache_;
  // For merge_long:
  std::vector<Node> nodes_;
  std::vector<uint32_t> ranks_;                        // that have places, a heap with the lowest on top
  std::vector<std::vector<uint32_t>> places_of_rank_;  // where the left symbol is
  std::vector<uint32_t> places_;                       // of the rank that is being merged
};

}  // namespace hipgpt
