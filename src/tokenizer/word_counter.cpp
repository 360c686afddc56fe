#include "tokenizer/word_counter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <limits>
#include <mutex>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "error.h"
#include "tokenizer/parallel.h"
#include "tokenizer/pretokenizer.h"

namespace hipgpt {
namespace {

constexpr size_t kTables = 64;
constexpr size_t kChunkBytes = size_t{1} << 18;

size_t table_of(const CountedWord& word) {
  return word.hash >> 26;
}

bool same_word(const CountedWord& a, const CountedWord& b) {
  return a.hash == b.hash && a.size == b.size && std::memcmp(a.data, b.data, a.size) == 0;
}

/// The tables all threads count into. A word's hash decides its table, so the threads share one copy of each
/// word instead of each holding its own, and a lock is held for one table only.
struct SharedTables {
  std::vector<WordTable> tables{kTables};
  std::array<std::mutex, kTables> locks;
};

/// One thread's way to the shared tables. A text is mostly a few thousand frequent words: those are counted
/// here, in a cache that replaces the older word, and the rest goes to the tables in batches.
class LocalCounter {
 public:
  explicit LocalCounter(SharedTables& shared) : shared_(shared), cache_(kCacheSlots) {}

  void add(std::string_view bytes) {
    if (bytes.size() > std::numeric_limits<uint32_t>::max()) {
      throw Error(fmt::format("the text has a word of {} bytes; a word may have 4 GiB", bytes.size()));
    }
    const auto hash = static_cast<uint32_t>(XXH3_64bits(bytes.data(), bytes.size()));
    const CountedWord word{bytes.data(), static_cast<uint32_t>(bytes.size()), hash, 1};
    CountedWord& cached = cache_[hash % kCacheSlots];
    if (same_word(cached, word)) {
      ++cached.count;
    } else {
      if (cached.count > 0) pass_on(cached);
      cached = word;
    }
  }

  void flush() {
    for (const CountedWord& word : cache_) {
      if (word.count > 0) pass_on(word);
    }
    for (size_t table = 0; table < kTables; ++table) flush_batch(table);
  }

 private:
  static constexpr size_t kCacheSlots = 1 << 14;
  static constexpr size_t kBatch = 64;

  void pass_on(const CountedWord& word) {
    auto& batch = batches_[table_of(word)];
    batch.push_back(word);
    if (batch.size() == kBatch) flush_batch(table_of(word));
  }

  void flush_batch(size_t table) {
    const std::lock_guard lock(shared_.locks[table]);
    for (const CountedWord& word : batches_[table]) shared_.tables[table].add(word);
    batches_[table].clear();
  }

  SharedTables& shared_;
  std::vector<CountedWord> cache_;  // an unused slot has count 0
  std::array<std::vector<CountedWord>, kTables> batches_;
};

void count_line(std::string_view line, LocalCounter& counter) {
  for (size_t begin = 0; begin < line.size();) {
    const size_t end = word_end(line, begin);
    counter.add(line.substr(begin, end - begin));
    begin = end;
  }
}

void count_piece(std::string_view piece, LocalCounter& counter) {
  while (!piece.empty()) {
    const size_t line_end = std::min(piece.find('\n'), piece.size() - 1) + 1;
    count_line(piece.substr(0, line_end), counter);
    piece.remove_prefix(line_end);
  }
}

/// Pieces of whole lines, for the threads to share out.
std::vector<std::string_view> cut_at_lines(std::string_view text, const SpecialTokens& specials) {
  std::vector<std::string_view> chunks;
  while (!text.empty()) {
    size_t end = std::min(kChunkBytes, text.size());
    do {
      end = std::min(text.find('\n', end), text.size() - 1) + 1;
    } while (end < text.size() && specials.straddles(text, end));
    chunks.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return chunks;
}

}  // namespace

void WordTable::add(const CountedWord& word) {
  if (words_.size() >= slots_.size() / 4 * 3) grow();
  const size_t mask = slots_.size() - 1;
  for (size_t slot = word.hash & mask;; slot = (slot + 1) & mask) {
    if (slots_[slot] == 0) {
      words_.push_back(word);
      slots_[slot] = static_cast<uint32_t>(words_.size());
      return;
    }
    CountedWord& known = words_[slots_[slot] - 1];
    if (same_word(known, word)) {
      known.count += word.count;
      return;
    }
  }
}

void WordTable::grow() {
  slots_.assign(std::max<size_t>(64, slots_.size() * 2), 0);
  const size_t mask = slots_.size() - 1;
  for (size_t i = 0; i < words_.size(); ++i) {
    size_t slot = words_[i].hash & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<uint32_t>(i + 1);
  }
}

std::vector<WordTable> count_words(std::string_view text, const SpecialTokens& specials, int threads,
                                   const std::function<void(double fraction)>& progress) {
  const auto chunks = cut_at_lines(text, specials);
  SharedTables shared;
  std::vector<LocalCounter> counters(threads, LocalCounter(shared));
  std::atomic<size_t> chunks_done = 0;
  parallel_for(chunks.size(), threads, [&](size_t chunk, int thread) {
    specials.split(
        chunks[chunk], [&](std::string_view piece) { count_piece(piece, counters[thread]); }, [](int32_t) {});
    ++chunks_done;
    if (progress && thread == 0) {
      progress(static_cast<double>(chunks_done) / static_cast<double>(chunks.size()));
    }
  });
  for (LocalCounter& counter : counters) counter.flush();
  return std::move(shared.tables);
}

}  // namespace hipgpt
