// Generator: continues a prompt one token at a time, in one or several samples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv_cache.h"

namespace hipgpt {

/// Caches the keys and values of the tokens so far, so that a new token costs one row of computation. That
/// row and the draw of the next token are captured once and replayed for every token. The device passes each
/// token to the next step, and the host only reads it.
///
/// B samples of one prompt are drawn together: the prompt is processed once, and a step has one row per
/// sample. Sample i draws its random numbers from stream i of the seed, independently of the other samples.
///
/// A model sees at most S tokens. When the context is full, the oldest quarter is dropped and the rest is
/// processed again from position 0, because new positions change every key. A token is therefore predicted
/// from 3S/4 to S of its predecessors, and the reprocessing costs three rows per token.
class Generator {
 public:
  /// Allocates memory for samples that are drawn together. The prompt follows with start().
  Generator(const GPTModel& model, const Sampling& sampling, int samples);

  /// One sample of a prompt.
  Generator(const GPTModel& model, std::span<const int32_t> prompt, const Sampling& sampling);

  /// Starts over with samples first, first+1, ... of this prompt. The prompt must have at least one token;
  /// only its last S tokens are used.
  void start(std::span<const int32_t> prompt, int64_t first = 0);

  /// Draws and appends the next token of every sample and returns that of the first sample. Throws Error if
  /// there is no prompt or if the model's logits are not finite.
  int32_t next();

  int samples() const { return static_cast<int>(tokens_.size()); }

  /// Prompt and continuation.
  const std::vector<int32_t>& tokens(int sample = 0) const { return tokens_[static_cast<size_t>(sample)]; }

  /// The logits [B,V] that the last tokens were drawn from, in host memory. Throws Error before the first
  /// next().
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
