#include "tokenizer/word_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "error.h"

namespace hipgpt {
namespace {

constexpr size_t kShortWord = 32;
constexpr uint32_t kEnd = ~uint32_t{0};

/// Collects the ids of cached words. It always copies kMaxIds ids and keeps the first id_count, which avoids
/// a branch that is hard to predict.
class IdBatch {
 public:
  explicit IdBatch(std::vector<int32_t>& ids) : ids_(ids) {}

  void append(const WordCache::Entry& word) {
    std::memcpy(batch_.data() + size_, word.ids.data(), sizeof word.ids);
    size_ += word.id_count;
    if (size_ >= kFull) flush();
  }

  void flush() {
    ids_.insert(ids_.end(), batch_.begin(), batch_.begin() + static_cast<ptrdiff_t>(size_));
    size_ = 0;
  }

 private:
  static constexpr size_t kFull = 1024;

  std::vector<int32_t>& ids_;
  std::array<int32_t, kFull + WordCache::kMaxIds> batch_;
  size_t size_ = 0;
};

}  // namespace

void WordEncoder::encode(std::string_view text, std::vector<int32_t>& ids) {
  const char* text_end = text.data() + text.size();
  IdBatch batch(ids);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = pretokenizer_.word_end(text, begin);
    const std::string_view word = text.substr(begin, end - begin);
    begin = end;
    if (word.size() > ShortWord::kMaxBytes) {
      batch.flush();
      encode_word(word, ids);
      continue;
    }
    const auto key = ShortWord::of(word, text_end);
    auto& cached = cache_.slot_of(key);
    if (cached.word == key) {
      batch.append(cached);
    } else {
      batch.flush();
      encode_new_word(word, key, cached, ids);
    }
  }
  batch.flush();
}

void WordEncoder::encode_new_word(std::string_view word, const ShortWord& key, WordCache::Entry& slot,
                                  std::vector<int32_t>& ids) {
  const size_t first = ids.size();
  encode_word(word, ids);
  const size_t count = ids.size() - first;
  if (count > slot.ids.size()) return;
  slot.word = key;
  slot.id_count = static_cast<uint32_t>(count);
  std::copy(ids.begin() + static_cast<ptrdiff_t>(first), ids.end(), slot.ids.begin());
}

void WordEncoder::encode_word(std::string_view word, std::vector<int32_t>& ids) {
  if (const auto whole = model_.whole_words.find(word); whole != model_.whole_words.end()) {
    ids.push_back(static_cast<int32_t>(whole->second));
  } else if (word.size() <= kShortWord) {
    merge_short(word, ids);
  } else {
    merge_long(word, ids);
  }
}

/// Searches all pairs for the lowest rank before each merge. This is quadratic, but fastest for short words.
void WordEncoder::merge_short(std::string_view word, std::vector<int32_t>& ids) {
  std::array<uint32_t, kShortWord> symbols;
  std::array<uint32_t, kShortWord> ranks;  // ranks[i]: rank of the pair (i, i + 1)
  size_t size = word.size();
  for (size_t i = 0; i < size; ++i) symbols[i] = model_.byte_ids[static_cast<uint8_t>(word[i])];
  for (size_t i = 0; i + 1 < size; ++i) ranks[i] = merges_.rank(symbols[i], symbols[i + 1]);
  while (size > 1) {
    const auto lowest = std::min_element(ranks.begin(), ranks.begin() + size - 1);
    if (*lowest == MergeTable::kNone) break;
    const size_t at = lowest - ranks.begin();
    symbols[at] = merges_.result(*lowest);
    std::copy(symbols.begin() + at + 2, symbols.begin() + size, symbols.begin() + at + 1);
    std::copy(ranks.begin() + at + 1, ranks.begin() + size - 1, ranks.begin() + at);
    --size;
    if (at > 0) ranks[at - 1] = merges_.rank(symbols[at - 1], symbols[at]);
    if (at + 1 < size) ranks[at] = merges_.rank(symbols[at], symbols[at + 1]);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.begin() + size);
}

/// Does the same in O(n log n) with a linked list of symbols. Each rank has a list of positions where it may
/// apply, from left to right. merge_at() skips a position that an earlier merge has changed.
void WordEncoder::merge_long(std::string_view word, std::vector<int32_t>& ids) {
  if (word.size() >= kEnd)
    throw Error(fmt::format("the text has a word of {} bytes; the limit is 4 GiB", word.size()));
  const auto size = static_cast<uint32_t>(word.size());
  places_of_rank_.resize(merges_.size());
  nodes_.resize(size);
  for (uint32_t i = 0; i < size; ++i) {
    nodes_[i] = {model_.byte_ids[static_cast<uint8_t>(word[i])], i - 1, i + 1 < size ? i + 1 : kEnd};
  }
  for (uint32_t i = 0; i < size; ++i) queue_pair(i);
  while (!ranks_.empty()) merge_rank(pop_rank());
  for (uint32_t i = 0; i != kEnd; i = nodes_[i].next) ids.push_back(static_cast<int32_t>(nodes_[i].id));
}

uint32_t WordEncoder::pop_rank() {
  std::ranges::pop_heap(ranks_, std::greater{});
  const uint32_t rank = ranks_.back();
  ranks_.pop_back();
  return rank;
}

/// Applies the merges of one rank. If one of them creates a pair of lower rank, that pair goes first. This
/// happens only in vocabularies that were not learned from a text.
///
/// The positions that still hold the pair are already in order. Consider two stretches of the word that both
/// become this pair and have not merged with their surroundings. Both go through the same merges, and each
/// merge applies to the left stretch first. So the left one becomes the pair first and is queued first.
void WordEncoder::merge_rank(uint32_t rank) {
  places_.swap(places_of_rank_[rank]);
  for (size_t i = 0; i < places_.size(); ++i) {
    if (!ranks_.empty() && ranks_.front() < rank) {
      for (; i < places_.size(); ++i) queue_pair(places_[i]);
      break;
    }
    merge_at(places_[i], rank);
  }
  places_.clear();
}

void WordEncoder::merge_at(uint32_t position, uint32_t rank) {
  Node& left = nodes_[position];
  if (left.next == kEnd || merges_.rank(left.id, nodes_[left.next].id) != rank) return;
  Node& right = nodes_[left.next];
  left.id = merges_.result(rank);
  left.next = right.next;
  right = {kEnd, kEnd, kEnd};
  if (left.next != kEnd) nodes_[left.next].previous = position;
  if (left.previous != kEnd) queue_pair(left.previous);
  queue_pair(position);
}

void WordEncoder::queue_pair(uint32_t position) {
  const Node& left = nodes_[position];
  if (left.next == kEnd) return;
  const uint32_t rank = merges_.rank(left.id, nodes_[left.next].id);
  if (rank == MergeTable::kNone) return;
  if (places_of_rank_[rank].empty()) {
    ranks_.push_back(rank);
    std::ranges::push_heap(ranks_, std::greater{});
  }
  places_of_rank_[rank].push_back(position);
}

}  // namespace hipgpt
