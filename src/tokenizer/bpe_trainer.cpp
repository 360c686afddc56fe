#include "tokenizer/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <utility>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/pair_table.h"
#include "tokenizer/training_corpus.h"
#include "util/parallel.h"

namespace hipgpt {
namespace {

/// Holds the tokens by id, as vocabulary files spell them.
class Vocabulary {
 public:
  explicit Vocabulary(const SpecialTokens& specials) {
    for (const auto& special : specials.tokens()) spellings_.push_back(special.text);
    for (const uint8_t byte : bytes_in_alphabet_order()) byte_ids_[byte] = id_of_byte(byte, specials);
    first_merged_ = size();
  }

  /// Adds the token that joins two others. README.md shows why it is always new.
  uint32_t add_merged(uint32_t left, uint32_t right) {
    spellings_.push_back(spellings_[left] + spellings_[right]);
    return size() - 1;
  }

  uint32_t size() const { return static_cast<uint32_t>(spellings_.size()); }
  uint32_t first_merged() const { return first_merged_; }
  const std::array<uint32_t, 256>& byte_ids() const { return byte_ids_; }
  const std::vector<std::string>& spellings() const { return spellings_; }

 private:
  uint32_t id_of_byte(uint8_t byte, const SpecialTokens& specials) {
    const std::string spelling = spell_bytes({reinterpret_cast<const char*>(&byte), 1});
    if (const auto id = specials.id_of(spelling))
      return static_cast<uint32_t>(*id);  // special token "a" is byte 'a'
    spellings_.push_back(spelling);
    return size() - 1;
  }

  std::vector<std::string> spellings_;
  std::array<uint32_t, 256> byte_ids_;
  uint32_t first_merged_;
};

/// Allocates arrays of word indices and frees them together in its destructor.
class WordListArena {
 public:
  uint32_t* allocate(size_t size) {
    if (size > left_) {
      left_ = std::max(size, kBlock);
      blocks_.push_back(std::make_unique_for_overwrite<uint32_t[]>(left_));
      next_ = blocks_.back().get();
    }
    left_ -= size;
    allocated_ += size;
    return std::exchange(next_, next_ + size);
  }

  size_t allocated() const { return allocated_; }

 private:
  static constexpr size_t kBlock = size_t{1} << 18;

  std::vector<std::unique_ptr<uint32_t[]>> blocks_;
  uint32_t* next_ = nullptr;
  size_t left_ = 0, allocated_ = 0;
};

/// A pair that may be merged. Its count dates from when it was queued.
struct Candidate {
  uint64_t count;
  Pair pair;

  /// Orders by count, the most frequent pair first. Ties go to the pair with the smaller ids.
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

/// Merges in rounds. A round starts by recounting all pairs and follows the frequent ones: it tracks their
/// counts and lists the words that contain them. Rarer pairs are by far the majority; they wait for a later
/// round and use no memory. This does not change the merges: a pair's count only falls, so an unfollowed pair
/// never precedes the last followed one. A round ends when it runs out of pairs or when its lists have grown
/// too long.
template <typename Symbol>
class MergeLearner {
 public:
  MergeLearner(TrainingCorpus<Symbol> corpus, Vocabulary& vocabulary, size_t list_budget, int threads)
      : corpus_(std::move(corpus)), vocabulary_(vocabulary), list_budget_(list_budget), threads_(threads) {}

  /// Learns one more merge. Returns false when no pair is left.
  bool step();

  const std::vector<Merge>& merges() const { return merges_; }

 private:
  using Word = typename TrainingCorpus<Symbol>::Word;

  /// A round follows pairs whose count is at least the highest count divided by this.
  static constexpr uint64_t kRange = 4096;

  /// A pair that the current round follows.
  struct Followed {
    int64_t count = 0;          // current count in the text
    uint32_t* words = nullptr;  // indices of the words that held it when it was listed
    uint32_t num_words = 0;
  };
  /// A symbol next to the pair that is being merged.
  struct Neighbour {
    int64_t occurrences = 0;   // in the text
    uint32_t words = 0;        // number of words that have it next to the merged symbol
    uint32_t last_word = 0;    // 1 + index of the last such word
    uint32_t* list = nullptr;  // indices of those words
  };
  struct NewPlace {
    uint32_t neighbour, word;
  };

  bool begin_round();
  std::vector<CountedPair> pairs_by_turn() const;
  void list_words();
  std::optional<Candidate> most_frequent();
  void merge_in_words(std::span<const uint32_t> list, const Merge& merge);
  void merge_in_word(uint32_t index, const Merge& merge);
  void note_neighbour(uint32_t index, uint32_t word);
  void lower_counts(const Merge& merge);
  void follow_new_pairs(const Merge& merge);

  TrainingCorpus<Symbol> corpus_;
  Vocabulary& vocabulary_;
  const size_t list_budget_;
  const int threads_;
  std::vector<Merge> merges_;
  Candidate last_{~uint64_t{0}, 0};  // the last pair the round follows; later ones are not followed
  PairTable<Followed> followed_;
  std::priority_queue<Candidate> queue_;
  WordListArena arena_;
  std::vector<Neighbour> neighbours_;  // [2 * symbol]: left of the merged pair; [2 * symbol + 1]: right of it
  std::vector<uint32_t> touched_;      // indices into neighbours_ that the merge has used
  std::vector<NewPlace> new_places_;
};

template <typename Symbol>
bool MergeLearner<Symbol>::step() {
  auto best = arena_.allocated() > list_budget_ ? std::nullopt : most_frequent();
  if (!best) {
    if (!begin_round()) return false;
    best = most_frequent();
  }
  const uint32_t left = left_of(best->pair), right = right_of(best->pair);
  const Merge merge{left, right, vocabulary_.add_merged(left, right)};
  merges_.push_back(merge);
  neighbours_.resize(size_t{2} * vocabulary_.size());
  const Followed pair = *followed_.find(best->pair);
  merge_in_words({pair.words, pair.num_words}, merge);
  lower_counts(merge);
  follow_new_pairs(merge);
  for (const uint32_t neighbour : touched_) neighbours_[neighbour] = {};
  touched_.clear();
  new_places_.clear();
  return true;
}

/// Returns false when no pair is left. The initial lists get half of the budget and the pairs that merges
/// create get the other half. The first pair is always followed.
template <typename Symbol>
bool MergeLearner<Symbol>::begin_round() {
  followed_ = {};
  queue_ = {};
  arena_ = {};
  const auto pairs = pairs_by_turn();
  if (pairs.empty()) return false;
  const uint64_t least = std::max<uint64_t>(pairs.front().count / kRange, 1);
  last_ = {least, ~Pair{0}};
  for (const CountedPair& pair : pairs) {
    if (pair.count < least) break;
    if (arena_.allocated() > 0 && arena_.allocated() + pair.places > list_budget_ / 2) break;
    followed_[pair.pair] = {static_cast<int64_t>(pair.count), arena_.allocate(pair.places), 0};
    queue_.push({pair.count, pair.pair});
    last_ = {pair.count, pair.pair};
  }
  if (queue_.size() == pairs.size() || pairs[queue_.size()].count < least) last_ = {least, ~Pair{0}};
  list_words();
  return true;
}

/// Returns the current pairs in queue order. Pairs much rarer than those of the last round are omitted unless
/// no others exist.
template <typename Symbol>
std::vector<CountedPair> MergeLearner<Symbol>::pairs_by_turn() const {
  const bool first_round = merges_.empty();
  const size_t parts = first_round ? static_cast<size_t>(threads_) : std::max(8, threads_);
  std::vector<CountedPair> pairs;
  for (uint64_t least = first_round ? 1 : last_.count;;) {
    least = std::max<uint64_t>(least / kRange, 1);
    pairs = corpus_.count_pairs(least, parts, threads_);
    if (!pairs.empty() || least == 1) break;
  }
  std::ranges::sort(pairs, [](const CountedPair& a, const CountedPair& b) {
    return Candidate{b.count, b.pair} < Candidate{a.count, a.pair};
  });
  return pairs;
}

/// Fills the lists of the followed pairs in one pass over all words.
template <typename Symbol>
void MergeLearner<Symbol>::list_words() {
  const auto parts = static_cast<size_t>(threads_);
  parallel_for(parts, threads_, [&](size_t part, int) {
    corpus_.for_each_pair(part, parts, [&](Pair pair, uint32_t word) {
      Followed* followed = followed_.find(pair);
      if (!followed) return;
      const bool known = followed->num_words > 0 && followed->words[followed->num_words - 1] == word;
      if (!known) followed->words[followed->num_words++] = word;
    });
  });
}

/// A queued count may be out of date. It is checked only when it reaches the top; an outdated pair is queued
/// again if it still belongs to this round.
template <typename Symbol>
std::optional<Candidate> MergeLearner<Symbol>::most_frequent() {
  while (!queue_.empty()) {
    Candidate top = queue_.top();
    queue_.pop();
    const auto count = static_cast<uint64_t>(followed_.find(top.pair)->count);
    if (top.count == count) return top;
    top.count = count;
    if (!(top < last_)) queue_.push(top);
  }
  return std::nullopt;
}

/// The words are scattered in memory, so without prefetching the time goes into cache misses. The list shows
/// early which words come next.
template <typename Symbol>
void MergeLearner<Symbol>::merge_in_words(std::span<const uint32_t> list, const Merge& merge) {
  constexpr size_t kAhead = 16;
  for (size_t i = 0; i < list.size(); ++i) {
    if (i + 2 * kAhead < list.size()) __builtin_prefetch(&corpus_.words[list[i + 2 * kAhead]]);
    if (i + kAhead < list.size()) __builtin_prefetch(&corpus_.symbols[corpus_.words[list[i + kAhead]].begin]);
    merge_in_word(list[i], merge);
  }
}

/// Replaces the pair in one word from left to right and records the symbols next to it.
template <typename Symbol>
void MergeLearner<Symbol>::merge_in_word(uint32_t index, const Merge& merge) {
  Word& word = corpus_.words[index];
  Symbol* symbols = corpus_.symbols.get() + word.begin;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < word.size; ++kept) {
    const bool is_pair = symbols[i] == merge.left && i + 1 < word.size && symbols[i + 1] == merge.right;
    if (!is_pair) {
      symbols[kept] = symbols[i++];
      continue;
    }
    if (kept > 0) note_neighbour(2 * symbols[kept - 1], index);
    symbols[kept] = static_cast<Symbol>(merge.result);
    i += 2;
    if (i < word.size) note_neighbour(2 * symbols[i] + 1, index);
  }
  word.size = kept;
}

template <typename Symbol>
void MergeLearner<Symbol>::note_neighbour(uint32_t index, uint32_t word) {
  Neighbour& neighbour = neighbours_[index];
  if (neighbour.words == 0) touched_.push_back(index);
  neighbour.occurrences += static_cast<int64_t>(corpus_.words[word].count);
  if (neighbour.last_word == word + 1) return;
  neighbour.last_word = word + 1;
  ++neighbour.words;
  new_places_.push_back({index, word});
}

/// Next to the merged pair, (x, left) has become (x, result) and (right, x) has become (result, x).
template <typename Symbol>
void MergeLearner<Symbol>::lower_counts(const Merge& merge) {
  for (const uint32_t index : touched_) {
    const uint32_t symbol = index / 2;
    const Pair pair = index % 2 == 0 ? pair_of(symbol, merge.left) : pair_of(merge.right, symbol);
    if (Followed* followed = followed_.find(pair)) followed->count -= neighbours_[index].occurrences;
  }
}

template <typename Symbol>
void MergeLearner<Symbol>::follow_new_pairs(const Merge& merge) {
  for (const uint32_t index : touched_) {
    Neighbour& neighbour = neighbours_[index];
    const uint32_t symbol = index / 2;
    const bool before = index % 2 == 0;
    const Pair pair = before ? pair_of(symbol, merge.result) : pair_of(merge.result, symbol);
    int64_t count = neighbour.occurrences;
    // A (result, left) no longer exists where the next merge to the right consumed its left. There, result
    // was counted as the left neighbour.
    if (!before && symbol == merge.left) count -= neighbours_[2 * merge.result].occurrences;
    const Candidate candidate{static_cast<uint64_t>(count), pair};
    if (count == 0 || candidate < last_) continue;
    neighbour.list = arena_.allocate(neighbour.words);
    followed_[pair] = {count, neighbour.list, neighbour.words};
    queue_.push(candidate);
  }
  for (const auto& [index, word] : new_places_) {
    Neighbour& neighbour = neighbours_[index];
    if (neighbour.list) *neighbour.list++ = word;
  }
}

template <typename Symbol>
LearnedBpe learn_merges(MergeLearner<Symbol> learner, Vocabulary& vocabulary, uint32_t vocab_size,
                        const std::function<void(double fraction)>& progress) {
  const uint32_t first = vocabulary.size();
  while (vocabulary.size() < vocab_size && learner.step()) {
    progress(static_cast<double>(vocabulary.size() - first) / (vocab_size - first));
  }
  return {vocabulary.spellings(), learner.merges()};
}

}  // namespace

LearnedBpe learn_bpe(const Text& text, const SpecialTokens& specials, uint32_t vocab_size, int threads,
                     const std::function<void(std::string_view stage, double fraction)>& progress,
                     size_t list_budget) {
  const auto stage = [&progress](std::string_view name) {
    return [&progress, name](double fraction) {
      if (progress) progress(name, fraction);
    };
  };
  Vocabulary vocabulary(specials);
  auto words = count_words(text, specials, threads, stage("counting words"));
  const auto learn = [&]<typename Symbol>(Symbol) {
    TrainingCorpus<Symbol> corpus(std::move(words), vocabulary.byte_ids(), threads);
    return learn_merges(MergeLearner<Symbol>(std::move(corpus), vocabulary, list_budget, threads), vocabulary,
                        vocab_size, stage("merging"));
  };
  return vocab_size <= 1 << 16 ? learn(uint16_t{}) : learn(uint32_t{});
}

}  // namespace hipgpt
