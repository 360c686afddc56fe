// Generator: continues a sequence of tokens, one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gpt_model.h"

namespace hipgpt {

/// Keeps the model's keys and values of the tokens so far, so that a new token costs one row of computation.
/// That row and the draw of the next token are recorded once and then run for every token; the device passes
/// the token from one to the next, and the host only reads it.
///
/// A model sees S tokens at most. When they are used up, the oldest quarter is forgotten and the rest is read
/// again from position 0: its positions change, and with them every key. So a token is predicted from between
/// 3S/4 and S of those before it, and reading again costs three rows a token.
class Generator {
 public:
  /// The prompt has at least one token; of a longer one than S the last S count.
  Generator(const GPTModel& model, std::span<const int32_t> prompt, const Sampling& sampling);

  /// Samples the next token, appends it and returns it. Error if the model's logits are not finite.
  int32_t next();

  /// Prompt and continuation.
  const std::vector<int32_t>& tokens() const { return tokens_; }

 private:
  void read_last(size_t count);
  void sample(Tensor logits);

  const GPTModel& model_;
  Device& device_;
  Sampling sampling_;
  std::unique_ptr<GPTModel::Cache> cache_;
  std::vector<int32_t> tokens_;
  Buffer memory_;
  Tensor token_, draw_, seen_;  // int32 [1,1], [1], [V]: see Device::sample
  std::unique_ptr<Device::Sequence> append_and_sample_;
};

}  // namespace hipgpt
