#include "tokenizer/bpe_trainer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <queue>
#include <span>
#include <unordered_map>
#include <utility>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/pair_counts.h"
#include "tokenizer/training_corpus.h"

namespace hipgpt {
namespace {

/// The tokens as vocabulary files spell them, by id.
class Vocabulary {
 public:
  explicit Vocabulary(const SpecialTokens& specials) {
    for (const auto& special : specials.tokens()) spellings_.push_back(special.text);
    for (const uint8_t byte : bytes_in_alphabet_order()) byte_ids_[byte] = id_of_byte(byte, specials);
    first_merged_ = size();
  }

  /// Adds the token that two others make. It is always a new one: see README.md.
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

/// Hands out arrays of word indices, and frees them all at its end.
class WordListArena {
 public:
  uint32_t* allocate(size_t size) {
    if (size > left_) {
      left_ = std::max(size, kBlock);
      blocks_.push_back(std::make_unique_for_overwrite<uint32_t[]>(left_));
      next_ = blocks_.back().get();
    }
    left_ -= size;
    return std::exchange(next_, next_ + size);
  }

 private:
  static constexpr size_t kBlock = size_t{1} << 18;

  std::vector<std::unique_ptr<uint32_t[]>> blocks_;
  uint32_t* next_ = nullptr;
  size_t left_ = 0;
};

/// A pair that may be merged, with the words it was in when it was queued. Pairs of bytes have no
/// list at first.
struct Candidate {
  uint64_t count;
  Pair pair;
  const uint32_t* list;
  uint32_t list_size;

  /// The most frequent pair comes first, and of those the one with the smaller ids.
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

template <typename Symbol>
class MergeLearner {
 public:
  MergeLearner(TrainingCorpus<Symbol> corpus, Vocabulary& vocabulary);

  /// Learns one merge more; false when no pair is left.
  bool step();

  const std::vector<Merge>& merges() const { return merges_; }

 private:
  using Word = typename TrainingCorpus<Symbol>::Word;

  /// A symbol on one side of the pair that is being merged.
  struct Neighbour {
    int64_t occurrences = 0;   // in the text
    uint32_t words = 0;        // that now have it beside the merged symbol
    uint32_t last_word = 0;    // 1 + index of the last of those
    uint32_t* list = nullptr;  // filled with their indices
  };
  struct NewPlace {
    uint32_t neighbour, word;
  };

  static constexpr size_t kListBudget = size_t{1} << 26;  // 256 MiB

  std::optional<Candidate> most_frequent();
  std::span<const uint32_t> words_with(const Candidate& candidate);
  size_t byte_pair_of(uint32_t left, uint32_t right) const;
  void list_byte_pairs();
  std::vector<size_t> byte_pairs_by_turn();
  void merge_in_word(uint32_t index, const Merge& merge);
  void note_neighbour(uint32_t index, uint32_t word);
  void update_counts(const Merge& merge);
  void queue_new_pairs(const Merge& merge);

  TrainingCorpus<Symbol> corpus_;
  Vocabulary& vocabulary_;
  std::vector<Merge> merges_;
  PairCounts counts_;
  std::priority_queue<Candidate> queue_;
  WordListArena arena_;
  std::vector<int> byte_of_;  // by id, for the special tokens and the bytes
  std::vector<bool> byte_pair_done_ = std::vector<bool>(kBytePairs);
  std::unordered_map<size_t, std::vector<uint32_t>> byte_pair_lists_;
  std::vector<Neighbour>
      neighbours_;  // [2 * symbol] to the left of the merged pair, [2 * symbol + 1] to its right
  std::vector<uint32_t> touched_;  // those of neighbours_ that the merge has met
  std::vector<NewPlace> new_places_;
};

template <typename Symbol>
MergeLearner<Symbol>::MergeLearner(TrainingCorpus<Symbol> corpus, Vocabulary& vocabulary)
    : corpus_(std::move(corpus)), vocabulary_(vocabulary), byte_of_(vocabulary.size(), -1) {
  const auto& ids = vocabulary.byte_ids();
  for (int byte = 0; byte < 256; ++byte) byte_of_[ids[byte]] = byte;
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < kBytePairs; ++i) {
    if (corpus_.byte_pair_counts[i] == 0) continue;
    const Pair pair = pair_of(ids[i / 256], ids[i % 256]);
    counts_[pair] = static_cast<int64_t>(corpus_.byte_pair_counts[i]);
    candidates.push_back({corpus_.byte_pair_counts[i], pair, nullptr, 0});
  }
  queue_ = std::priority_queue<Candidate>({}, std::move(candidates));
}

template <typename Symbol>
bool MergeLearner<Symbol>::step() {
  const auto best = most_frequent();
  if (!best) return false;
  const uint32_t left = left_of(best->pair), right = right_of(best->pair);
  const Merge merge{left, right, vocabulary_.add_merged(left, right)};
  merges_.push_back(merge);
  neighbours_.resize(size_t{2} * vocabulary_.size());
  for (const uint32_t word : words_with(*best)) merge_in_word(word, merge);
  update_counts(merge);
  queue_new_pairs(merge);
  for (const uint32_t neighbour : touched_) neighbours_[neighbour] = {};
  touched_.clear();
  new_places_.clear();
  return true;
}

/// A queued count may be out of date. That is looked at only when it comes to the top:
/// then it is queued again.
template <typename Symbol>
std::optional<Candidate> MergeLearner<Symbol>::most_frequent() {
  while (!queue_.empty()) {
    Candidate top = queue_.top();
    queue_.pop();
    const auto count = static_cast<uint64_t>(counts_[top.pair]);
    if (top.count == count) return top;
    top.count = count;
    if (count > 0) queue_.push(top);
  }
  return std::nullopt;
}

template <typename Symbol>
std::span<const uint32_t> MergeLearner<Symbol>::words_with(const Candidate& candidate) {
  if (candidate.list) return {candidate.list, candidate.list_size};
  const size_t pair = byte_pair_of(left_of(candidate.pair), right_of(candidate.pair));
  if (!byte_pair_lists_.contains(pair)) list_byte_pairs();
  byte_pair_done_[pair] = true;
  return byte_pair_lists_.at(pair);
}

/// kBytePairs for symbols that are more than bytes.
template <typename Symbol>
size_t MergeLearner<Symbol>::byte_pair_of(uint32_t left, uint32_t right) const {
  if (left >= byte_of_.size() || right >= byte_of_.size()) return kBytePairs;
  return byte_pair(static_cast<uint8_t>(byte_of_[left]), static_cast<uint8_t>(byte_of_[right]));
}

/// Lists the words of as many pairs of bytes as the budget has room for, in one pass over all words. For most
/// texts that is all pairs, once. For a large one it saves memory: the many pairs of bytes whose turn never
/// comes, or comes when they have become rare, hold no list. Only pairs of bytes can wait like that, because
/// no later merge makes more of them: the list made now has the words that the list made at the beginning
/// would still lead to.
template <typename Symbol>
void MergeLearner<Symbol>::list_byte_pairs() {
  byte_pair_lists_.clear();
  std::vector<std::vector<uint32_t>*> list_of(kBytePairs + 1);  // null at kBytePairs
  size_t total = 0;
  for (const size_t pair : byte_pairs_by_turn()) {
    const size_t places = corpus_.byte_pair_places[pair];
    if (total > 0 && total + places > kListBudget) break;
    total += places;
    list_of[pair] = &byte_pair_lists_[pair];
    list_of[pair]->reserve(places);
  }
  for (uint32_t w = 0; w < corpus_.words.size(); ++w) {
    const Symbol* symbols = corpus_.symbols.data() + corpus_.words[w].begin;
    for (uint32_t i = 1; i < corpus_.words[w].size; ++i) {
      auto* list = list_of[byte_pair_of(symbols[i - 1], symbols[i])];
      if (list && (list->empty() || list->back() != w)) list->push_back(w);
    }
  }
}

/// The pairs of bytes not merged yet, the most frequent first, as in the queue.
template <typename Symbol>
std::vector<size_t> MergeLearner<Symbol>::byte_pairs_by_turn() {
  std::vector<std::pair<int64_t, Pair>> order;  // minus the count, so that pairs of equal count are ascending
  for (size_t i = 0; i < kBytePairs; ++i) {
    if (corpus_.byte_pair_counts[i] == 0 || byte_pair_done_[i]) continue;
    const Pair pair = pair_of(vocabulary_.byte_ids()[i / 256], vocabulary_.byte_ids()[i % 256]);
    order.emplace_back(-counts_[pair], pair);
  }
  std::ranges::sort(order);
  std::vector<size_t> pairs;
  for (const auto& [count, pair] : order) pairs.push_back(byte_pair_of(left_of(pair), right_of(pair)));
  return pairs;
}

/// Replaces the pair in one word, from left to right, and takes note of the symbols beside it.
template <typename Symbol>
void MergeLearner<Symbol>::merge_in_word(uint32_t index, const Merge& merge) {
  Word& word = corpus_.words[index];
  Symbol* symbols = corpus_.symbols.data() + word.begin;
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

/// Beside the merged pair, (x, left) has become (x, result), and (right, x) has become (result, x).
template <typename Symbol>
void MergeLearner<Symbol>::update_counts(const Merge& merge) {
  for (const uint32_t index : touched_) {
    const uint32_t symbol = index / 2;
    const bool before = index % 2 == 0;
    const int64_t occurrences = neighbours_[index].occurrences;
    counts_[before ? pair_of(symbol, merge.left) : pair_of(merge.right, symbol)] -= occurrences;
    counts_[before ? pair_of(symbol, merge.result) : pair_of(merge.result, symbol)] += occurrences;
  }
}

template <typename Symbol>
void MergeLearner<Symbol>::queue_new_pairs(const Merge& merge) {
  for (const uint32_t index : touched_) {
    const uint32_t symbol = index / 2;
    const Pair pair = index % 2 == 0 ? pair_of(symbol, merge.result) : pair_of(merge.result, symbol);
    const auto count = static_cast<uint64_t>(counts_[pair]);
    if (count == 0) continue;  // the next merge to the right took them all
    Neighbour& neighbour = neighbours_[index];
    neighbour.list = arena_.allocate(neighbour.words);
    queue_.push({count, pair, neighbour.list, neighbour.words});
  }
  for (const auto& [index, word] : new_places_) {
    Neighbour& neighbour = neighbours_[index];
    if (neighbour.list) *neighbour.list++ = word;
  }
}

template <typename Symbol>
LearnedBpe learn_merges(std::vector<WordTable> words, Vocabulary vocabulary, uint32_t vocab_size, int threads,
                        const std::function<void(double fraction)>& progress) {
  MergeLearner<Symbol> learner(TrainingCorpus<Symbol>(std::move(words), vocabulary.byte_ids(), threads),
                               vocabulary);
  const uint32_t first = vocabulary.size();
  while (vocabulary.size() < vocab_size && learner.step()) {
    progress(static_cast<double>(vocabulary.size() - first) / (vocab_size - first));
  }
  return {vocabulary.spellings(), learner.merges()};
}

}  // namespace

LearnedBpe learn_bpe(const Text& text, const SpecialTokens& specials, uint32_t vocab_size, int threads,
                     const std::function<void(std::string_view stage, double fraction)>& progress) {
  const auto stage = [&progress](std::string_view name) {
    return [&progress, name](double fraction) {
      if (progress) progress(name, fraction);
    };
  };
  Vocabulary vocabulary(specials);
  auto words = count_words(text, specials, threads, stage("counting words"));
  const bool fits = vocab_size <= 1 << 16;
  return fits ? learn_merges<uint16_t>(std::move(words), std::move(vocabulary), vocab_size, threads,
                                       stage("merging"))
              : learn_merges<uint32_t>(std::move(words), std::move(vocabulary), vocab_size, threads,
                                       stage("merging"));
}

}  // namespace hipgpt
