// Counts the distinct words of a text. Training needs nothing else from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text.h"
#include "tokenizer/short_word.h"
#include "tokenizer/special_tokens.h"

namespace hipgpt {

/// A hash table of words and their counts. It copies the words, so a large text need not be read again. Most
/// words are short and stored in the table itself.
class WordTable {
 public:
  /// Computes the `hash` argument of the functions below.
  static uint64_t hash_of(const ShortWord& word);
  static uint64_t hash_of(std::string_view long_word);

  void add(const ShortWord& word, uint64_t hash, uint64_t count);
  void add(std::string_view long_word, uint64_t hash, uint64_t count);

  /// Prefetches the slot that add() will use.
  void prefetch(uint64_t hash) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[slot_of(hash)]);
  }

  /// Calls f(bytes, count) for each word.
  template <typename F>
  void for_each(F&& f) const {
    for (const Slot& slot : slots_) {
      if (slot.size != kFree) f(bytes_of(slot), uint64_t{slot.count});
    }
  }

 private:
  static constexpr uint64_t kFree = 0;  // as a size, since no word is empty
  static constexpr uint64_t kLong = ShortWord::kMaxBytes + 1;

  /// Holds a short word's bytes, or a long word's hash and its offset in long_words_.
  struct Slot {
    uint64_t low = 0, high = 0;
    uint64_t count : 59 = 0, size : 5 = kFree;
  };

  size_t slot_of(uint64_t hash) const;
  size_t next_slot(size_t slot) const { return slot + 1 == slots_.size() ? 0 : slot + 1; }
  std::string_view bytes_of(const Slot& slot) const;
  void make_room();

  std::vector<Slot> slots_;  // linear probing, half to three quarters full
  size_t used_ = 0;
  std::string long_words_;  // each preceded by its size (u32)
};

/// Counts line by line, as Hugging Face's trainer reads a file, so a word never spans a line end. Special
/// tokens are removed first. Returns several tables; each word is in exactly one of them.
std::vector<WordTable> count_words(const Text& text, const SpecialTokens& specials, int threads,
                                   const std::function<void(double fraction)>& progress);

}  // namespace hipgpt
