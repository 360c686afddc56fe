// Generator: continues a prompt, a token at a time, in one or several ways.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv_cache.h"

namespace hipgpt {

/// Keeps the model's keys and values of the tokens so far, so that a new token costs one row of computation.
/// That row and the draw of the next token are captured once and then replayed for every token; the device passes
/// the token from one to the next, and the host only reads it.
///
/// B samples of one prompt are drawn together: the prompt is read once, and a step has a row for each. Sample
/// i draws its own random numbers, from stream i of the seed, whatever the other samples are.
///
/// A model sees S tokens at most. When they are used up, the oldest quarter is forgotten and the rest is read
/// again from position 0: its positions change, and with them every key. So a token is predicted from between
/// 3S/4 and S of those before it, and reading again costs three rows a token.
class Generator {
 public:
  /// Memory for samples that are drawn together, and no prompt yet: start() gives it.
  Generator(const GPTModel& model, const Sampling& sampling, int samples);

  /// One sample of a prompt.
  Generator(const GPTModel& model, std::span<const int32_t> prompt, const Sampling& sampling);

  /// Forgets everything and begins anew: samples first, first+1, ... of this prompt. It has at least one
  /// token; of a longer one than S the last S count.
  void start(std::span<const int32_t> prompt, int64_t first = 0);

  /// Draws the next token of every sample, appends it and returns that of the first sample. Error if there
  /// is no prompt, and if the model's logits are not finite.
  int32_t next();

  int samples() const { return static_cast<int>(tokens_.size()); }

  /// Prompt and continuation.
  const std::vector<int32_t>& tokens(int sample = 0) const { return tokens_[static_cast<size_t>(sample)]; }

  /// The logits [B,V] that the last tokens were drawn from, in host memory. Error before the first next().
  std::vector<float> logits() const;

 private:
  void read_last(size_t count);
  void sample(Tensor logits);

  const GPTModel& model_;
  Device& device_;
  Sampling sampling_;
  KVCache cache_;
  std::vector<std::vector<int32_t>> tokens_;
  std::vector<int32_t> new_tokens_;
  Buffer memory_;
  Tensor token_, draw_, seen_;  // int32 [B,1], [B,2], [B,V]: see `sample` in operations.h
};

}  // namespace hipgpt
