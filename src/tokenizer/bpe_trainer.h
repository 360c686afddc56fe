// Learns byte-pair merges from a text. Merges and ids equal those of Hugging Face's BpeTrainer, ties
// included.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text.h"
#include "tokenizer/merge.h"
#include "tokenizer/special_tokens.h"

namespace hipgpt {

struct LearnedBpe {
  std::vector<std::string> spellings;  // by id: special tokens, then bytes, then merged tokens
  std::vector<Merge> merges;           // in order of rank
};

/// The number of word indices that the lists of pairs hold at a time (512 MiB).
constexpr size_t kListBudget = size_t{1} << 27;

/// `specials` have the ids 0, 1, ... in order. vocab_size includes them and the 256 bytes. list_budget trades
/// memory for time and does not affect the result.
LearnedBpe learn_bpe(const Text& text, const SpecialTokens& specials, uint32_t vocab_size, int threads,
                     const std::function<void(std::string_view stage, double fraction)>& progress,
                     size_t list_budget = kListBudget);

}  // namespace hipgpt
