// Encodes text word by word. A word starts as its bytes, and merges apply in order of rank, lowest first.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/word_cache.h"

namespace hipgpt {

/// Holds one thread's state for encoding. It keeps references to the table and the byte ids.
class WordEncoder {
 public:
  /// `text_bytes` is the approximate amount of text to encode.
  WordEncoder(const MergeTable& merges, const std::array<uint32_t, 256>& byte_ids, size_t text_bytes)
      : merges_(merges), byte_ids_(byte_ids), cache_(text_bytes) {}

  /// Appends the ids of `text`, which must not contain special tokens.
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
  std::vector<uint32_t> ranks_;                        // ranks with queued positions: a min-heap
  std::vector<std::vector<uint32_t>> places_of_rank_;  // positions of the left symbol
  std::vector<uint32_t> places_;                       // of the rank being merged
};

}  // namespace hipgpt
