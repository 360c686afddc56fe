// Samples: what the model writes in the course of its training.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "generator.h"
#include "token_shards.h"
#include "tokenizer.h"

namespace hipgpt {

/// Continuations of one prompt, always with the same random numbers, by the model as it is when asked. The
/// generator's memory is its own and allocated once, so that training does not notice.
class Samples {
 public:
  Samples(const GPTModel& model, const Tokenizer& tokenizer, std::vector<int32_t> prompt, int64_t num_tokens,
          uint64_t seed);

  /// Both texts are UTF-8, whatever bytes the tokens have.
  const std::string& prompt() const { return prompt_text_; }

  /// Up to `num_tokens` more, fewer if <|endoftext|> comes.
  std::string continuation();

 private:
  const Tokenizer& tokenizer_;
  std::vector<int32_t> prompt_;
  std::string prompt_text_;
  int64_t num_tokens_;
  Generator generator_;
};

/// A prompt that any model of the text can continue: its own first tokens, at most eight and not beyond its
/// first line.
std::vector<int32_t> first_tokens(const TokenShards& text, const Tokenizer& tokenizer);

}  // namespace hipgpt
