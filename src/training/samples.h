// Samples: texts that the model generates during its training.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "generator.h"
#include "token_roles.h"
#include "token_shards.h"
#include "tokenizer.h"

namespace hipgpt {

/// Continues one prompt with the model's current weights and always the same random numbers. The generator
/// allocates its own memory once, so it does not affect training.
class Samples {
 public:
  Samples(const GPTModel& model, const Tokenizer& tokenizer, const TokenRoles& roles,
          std::vector<int32_t> prompt, int64_t num_tokens, uint64_t seed);

  /// Prompt and continuation are valid UTF-8, whatever bytes the tokens have.
  const std::string& prompt() const { return prompt_text_; }

  /// Returns up to `num_tokens` more tokens as text. Stops early at the end of a text.
  std::string continuation();

 private:
  const Tokenizer& tokenizer_;
  std::vector<int32_t> ends_;
  std::vector<int32_t> prompt_;
  std::string prompt_text_;
  int64_t num_tokens_;
  Generator generator_;
};

/// Returns a prompt that any model of the text can continue: the text's first tokens, at most eight and only
/// from its first line.
std::vector<int32_t> first_tokens(const TokenShards& text, const Tokenizer& tokenizer);

}  // namespace hipgpt
