#include "tokenizer/word_counter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <mutex>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "error.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/text_pieces.h"
#include "util/parallel.h"

namespace hipgpt {
namespace {

constexpr size_t kTables = 64;
constexpr size_t kPieceBytes = size_t{1} << 18;

/// The top bits of the hash select the table. The other bits select the slot.
size_t table_of(uint64_t hash) {
  return hash >> 58;
}

/// All threads count into these tables. A word's hash selects its table, so the threads share one copy of
/// each word, and a lock covers only one table.
struct SharedTables {
  std::vector<WordTable> tables{kTables};
  std::array<std::mutex, kTables> locks;
};

/// One thread's buffer in front of the shared tables. A text consists mostly of a few thousand frequent
/// words, which are counted here in a direct-mapped cache. Evicted words go to the tables in batches.
class LocalCounter {
 public:
  explicit LocalCounter(SharedTables& shared) : shared_(shared), cache_(kCacheSlots) {}

  /// Memory up to `readable_end` must be readable.
  void add(std::string_view bytes, const char* readable_end) {
    if (bytes.size() > ShortWord::kMaxBytes) return add_long(bytes);
    const ShortWord word = ShortWord::of(bytes, readable_end);
    const uint64_t hash = WordTable::hash_of(word);
    Counted& cached = cache_[hash % kCacheSlots];
    if (cached.word == word) {
      ++cached.count;
    } else {
      if (cached.count > 0) pass_on(cached);
      cached = {word, 1};
    }
  }

  void flush() {
    for (const Counted& counted : cache_) {
      if (counted.count > 0) pass_on(counted);
    }
    for (size_t table = 0; table < kTables; ++table) flush_batch(table);
  }

 private:
  static constexpr size_t kCacheSlots = 1 << 14;
  static constexpr size_t kBatch = 64;

  struct Counted {
    ShortWord word;
    uint64_t count = 0;
  };
  struct Batch {
    std::array<Counted, kBatch> words;
    std::array<uint64_t, kBatch> hashes;
    size_t size = 0;
  };

  void add_long(std::string_view bytes) {
    if (bytes.size() > std::numeric_limits<uint32_t>::max()) {
      throw Error(fmt::format("the text has a word of {} bytes; the limit is 4 GiB", bytes.size()));
    }
    const uint64_t hash = WordTable::hash_of(bytes);
    const std::lock_guard lock(shared_.locks[table_of(hash)]);
    shared_.tables[table_of(hash)].add(bytes, hash, 1);
  }

  void pass_on(const Counted& counted) {
    const uint64_t hash = WordTable::hash_of(counted.word);
    Batch& batch = batches_[table_of(hash)];
    batch.words[batch.size] = counted;
    batch.hashes[batch.size] = hash;
    if (++batch.size == kBatch) flush_batch(table_of(hash));
  }

  /// Prefetches the slots of the whole batch at once because they are scattered in memory.
  void flush_batch(size_t index) {
    Batch& batch = batches_[index];
    WordTable& table = shared_.tables[index];
    const std::lock_guard lock(shared_.locks[index]);
    for (size_t i = 0; i < batch.size; ++i) table.prefetch(batch.hashes[i]);
    for (size_t i = 0; i < batch.size; ++i)
      table.add(batch.words[i].word, batch.hashes[i], batch.words[i].count);
    batch.size = 0;
  }

  SharedTables& shared_;
  std::vector<Counted> cache_;  // an unused slot has count 0
  std::array<Batch, kTables> batches_;
};

void count_line(std::string_view line, const char* readable_end, LocalCounter& counter) {
  for (size_t begin = 0; begin < line.size();) {
    const size_t end = word_end(line, begin);
    counter.add(line.substr(begin, end - begin), readable_end);
    begin = end;
  }
}

void count_lines(std::string_view lines, LocalCounter& counter) {
  const char* readable_end = lines.data() + lines.size();
  while (!lines.empty()) {
    const size_t line_end = std::min(lines.find('\n'), lines.size() - 1) + 1;
    count_line(lines.substr(0, line_end), readable_end, counter);
    lines.remove_prefix(line_end);
  }
}

/// Returns the size of a piece of whole lines at the front of `text`.
size_t cut_at_line(std::string_view text, const SpecialTokens& specials) {
  size_t end = std::min(kPieceBytes, text.size());
  do {
    end = std::min(text.find('\n', end), text.size() - 1) + 1;
  } while (end < text.size() && specials.straddles(text, end));
  return end;
}

}  // namespace

/// The multiplications mix bits upwards, and the shifts bring the mixed top bits back down.
uint64_t WordTable::hash_of(const ShortWord& word) {
  uint64_t hash = (word.low + word.size) * 0x9E3779B97F4A7C15u;
  hash = (hash ^ hash >> 32 ^ word.high) * 0xC2B2AE3D27D4EB4Fu;
  hash = (hash ^ hash >> 29) * 0x9E3779B97F4A7C15u;
  return hash ^ hash >> 32;
}

uint64_t WordTable::hash_of(std::string_view long_word) {
  return XXH3_64bits(long_word.data(), long_word.size());
}

/// Scales the hash to the number of slots, which need not be a power of two.
size_t WordTable::slot_of(uint64_t hash) const {
  return static_cast<size_t>(static_cast<unsigned __int128>(hash << 6) * slots_.size() >> 64);
}

std::string_view WordTable::bytes_of(const Slot& slot) const {
  if (slot.size != kLong) return {reinterpret_cast<const char*>(&slot.low), slot.size};
  uint32_t size;
  std::memcpy(&size, long_words_.data() + slot.high, sizeof size);
  return std::string_view(long_words_).substr(slot.high + sizeof size, size);
}

void WordTable::add(const ShortWord& word, uint64_t hash, uint64_t count) {
  make_room();
  for (size_t i = slot_of(hash);; i = next_slot(i)) {
    Slot& slot = slots_[i];
    if (slot.size == kFree) {
      slot = {word.low, word.high, count, word.size};
      ++used_;
      return;
    }
    if (slot.low == word.low && slot.high == word.high && slot.size == word.size) {
      slot.count += count;
      return;
    }
  }
}

void WordTable::add(std::string_view long_word, uint64_t hash, uint64_t count) {
  make_room();
  for (size_t i = slot_of(hash);; i = next_slot(i)) {
    Slot& slot = slots_[i];
    if (slot.size == kFree) {
      slot = {hash, long_words_.size(), count, kLong};
      ++used_;
      const auto size = static_cast<uint32_t>(long_word.size());
      long_words_.append(reinterpret_cast<const char*>(&size), sizeof size).append(long_word);
      return;
    }
    if (slot.size == kLong && slot.low == hash && bytes_of(slot) == long_word) {
      slot.count += count;
      return;
    }
  }
}

void WordTable::make_room() {
  if (used_ < slots_.size() / 4 * 3) return;
  std::vector<Slot> old(std::max<size_t>(64, slots_.size() / 2 * 3));
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.size == kFree) continue;
    const bool is_long = slot.size == kLong;
    size_t i = slot_of(is_long ? slot.low : hash_of({slot.low, slot.high, static_cast<uint32_t>(slot.size)}));
    while (slots_[i].size != kFree) i = next_slot(i);
    slots_[i] = slot;
  }
}

std::vector<WordTable> count_words(const Text& text, const SpecialTokens& specials, int threads,
                                   const std::function<void(double fraction)>& progress) {
  SharedTables shared;
  std::vector<LocalCounter> counters(threads, LocalCounter(shared));
  TextPieces pieces(text, [&](std::string_view bytes) { return cut_at_line(bytes, specials); });
  const auto count = [&](const TextPiece& piece, int thread) {
    specials.split(
        piece.bytes, [&](std::string_view lines) { count_lines(lines, counters[thread]); }, [](int32_t) {});
  };
  uint64_t done = 0;
  const auto finish = [&](const TextPiece& piece) {
    piece.forget();
    done += piece.bytes.size();
    if (progress) progress(static_cast<double>(done) / static_cast<double>(text.bytes()));
  };
  parallel_in_order<TextPiece>(
      threads, [&](TextPiece& piece) { return pieces.next(piece); }, count, finish);
  for (LocalCounter& counter : counters) counter.flush();
  return std::move(shared.tables);
}

}  // namespace hipgpt
