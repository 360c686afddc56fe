// Counts the distinct words of a text: all that training needs to know about it.
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

/// A hash table of words and their counts, with its own copy of the words: a large text is not looked into
/// again. Most words are short and lie in the table itself.
class WordTable {
 public:
  /// `hash` is that of the word, by one of these.
  static uint64_t hash_of(const ShortWord& word);
  static uint64_t hash_of(std::string_view long_word);

  void add(const ShortWord& word, uint64_t hash, uint64_t count);
  void add(std::string_view long_word, uint64_t hash, uint64_t count);

  /// Begins to load what add() will need.
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
  static constexpr uint64_t kFree = 0;  // as a size: no word is empty
  static constexpr uint64_t kLong = ShortWord::kMaxBytes + 1;

  /// A short word's bytes, or a long word's hash and place in long_words_.
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
  std::string long_words_;  // each after its size (u32)
};

/// Counts line by line: a word never spans a line end, which is how Hugging Face's trainer reads a file.
/// Special tokens are cut out first. The words come in several tables, each word in one of them.
std::vector<WordTable> count_words(const Text& text, const SpecialTokens& specials, int threads,
                                   const std::function<void(double fraction)>& progress);

}  // namespace hipgpt
