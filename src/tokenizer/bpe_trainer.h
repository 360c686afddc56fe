// Learns byte-pair merges from a text: the same merges and ids as Hugging Face's BpeTrainer, ties included.
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
  std::vector<std::string> spellings;  // of the tokens, by id: special tokens, then bytes, then merged tokens
  std::vector<Merge> merges;           // in the order of their rank
};

/// Word indices that the lists of pairs hold at a time: 512 MiB.
constexpr size_t kListBudget = size_t{1} << 27;

/// `specials` have the ids 0, 1, ... in order. vocab_size counts them and the 256 bytes. What is learned does
/// not depend on list_budget, which is memory against time.
LearnedBpe learn_bpe(const Text& text, const SpecialTokens& specials, uint32_t vocab_size, int threads,
                     const std::function<void(std::string_view stage, double fraction)>& progress,
                     size_t list_budget = kListBudget);

}  // namespace hipgpt
