// Generator: continues a sequence of tokens, one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gpt_model.h"
#include "sampler.h"

namespace hipgpt {

/// Keeps the model's keys and values of the tokens so far, so that a new token costs one row of computation.
///
/// A model sees S tokens at most. When they are used up, the oldest quarter is forgotten and the rest is read
/// again from position 0: its positions change, and with them every key. So a token is predicted from between
/// 3S/4 and S of those before it, and reading again costs three rows a token.
class Generator {
 public:
  /// The prompt has at least one token; of a longer one than S the last S count.
  Generator(const GPTModel& model, std::span<const int32_t> prompt, const SamplingOptions& sampling);

  /// Samples the next token, appends it and returns it.
  int32_t next();

  /// Prompt and continuation.
  const std::vector<int32_t>& tokens() const { return tokens_; }

 private:
  std::span<const float> read(size_t count);

  const GPTModel& model_;
  std::unique_ptr<GPTModel::Cache> cache_;
  Sampler sampler_;
  std::vector<int32_t> tokens_;
  size_t unread_;  // tokens at the end that the cache has not seen
};

}  // namespace hipgpt
