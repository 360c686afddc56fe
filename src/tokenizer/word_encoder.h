// Encodes text word by word. A word starts as its bytes, and merges apply in order of rank, lowest first.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/word_cache.h"

namespace hipgpt {

/// What turns a word into ids.
struct BpeModel {
  MergeTable merges;
  std::array<uint32_t, 256> byte_ids;  // the tokens of single bytes

  /// Tokens that a word may be as a whole, whatever the merges make of it: "ignore_merges" of tokenizer.json,
  /// and all of tiktoken's. The bytes belong to the tokenizer's tables.
  std::unordered_map<std::string_view, uint32_t> whole_words;
};

/// Holds one thread's state for encoding. It keeps references to the pretokenizer and the model.
class WordEncoder {
 public:
  /// `text_bytes` is the approximate amount of text to encode.
  WordEncoder(const Pretokenizer& pretokenizer, const BpeModel& model, size_t text_bytes)
      : pretokenizer_(pretokenizer), model_(model), merges_(model.merges), cache_(text_bytes) {}

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

  const Pretokenizer& pretokenizer_;
  const BpeModel& model_;
  const MergeTable& merges_;  // of the model
  WordCache cache_;
  // For merge_long:
  std::vector<Node> nodes_;
  std::vector<uint32_t> ranks_;                        // ranks with queued positions: a min-heap
  std::vector<std::vector<uint32_t>> places_of_rank_;  // positions of the left symbol
  std::vector<uint32_t> places_;                       // of the rank being merged
};

}  // namespace hipgpt
