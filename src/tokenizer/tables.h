// The data of a Tokenizer.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer.h"
#include "tokenizer/merge.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/word_encoder.h"

namespace hipgpt {

struct Tokenizer::Tables {
  /// spellings[id] is the text of a special token, or another token's bytes in GPT-2's alphabet. It is empty
  /// for an id that no token has. Throws Error if a spelling is neither or if a byte has no token.
  Tables(std::vector<std::string> spellings, std::vector<Merge> merges, SpecialTokens specials,
         const Pipeline& pipeline = {});
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  std::string_view token_bytes(size_t id) const {
    return std::string_view(bytes).substr(begins[id], begins[id + 1] - begins[id]);
  }

  std::vector<std::string> spellings;
  std::vector<Merge> merges;
  SpecialTokens specials;
  Pipeline pipeline;

  // Derived from the above:
  std::string bytes;           // of all tokens, concatenated
  std::vector<size_t> begins;  // start of each token in `bytes`, then the end of the last
  BpeModel model;
  uint64_t hash;

 private:
  void add_whole_words();
};

}  // namespace hipgpt
