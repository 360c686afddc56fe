// KVCache: cached sequences, to which each new token costs one row of computation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "gpt_model.h"

namespace hipgpt {

/// The keys and values of B sequences that grow together, up to the model's S tokens, and the memory to
/// extend them. The model must outlive the cache.
///
/// Every method throws Error for more tokens than fit and for a token outside the vocabulary.
class KVCache {
 public:
  /// Creates B sequences without tokens.
  explicit KVCache(const GPTModel& model, int sequences = 1);
  KVCache(const KVCache&) = delete;  // a captured step refers to it
  KVCache& operator=(const KVCache&) = delete;

  int64_t sequences() const { return sequences_; }
  int64_t length() const { return length_; }
  void clear() { length_ = 0; }

  /// The logits [B,V] after the last tokens, on the device. Throws Error while the sequences are empty.
  Tensor logits() const;

  /// Restarts all sequences with the same tokens, which are processed once. Returns logits().
  Tensor begin(std::span<const int32_t> tokens);

  /// Appends `tokens` [B,T] to the sequences. Returns logits().
  Tensor extend(std::span<const int32_t> tokens);

  /// Captures a step for append() to replay. Each replay appends the current contents of `tokens` (int32
  /// [B,1], on the device) to the sequences and then runs `use` on the logits. `use` may only call operations
  /// that can be captured.
  void capture_append(Tensor tokens, std::function<void(Tensor logits)> use);

  /// Replays the captured step. Throws Error if no step was captured or the sequences are empty.
  void append();

 private:
  LayerCache layer(size_t l, int64_t first, int64_t count) const;
  void check_room(int64_t past, int64_t count) const;
  void set_length(int64_t length);

  /// Appends tokens [count,T] from host memory to sequences [first, first+count) and fills their rows of the
  /// logits. All sequences have the same length before the call.
  void read(int64_t first, int64_t count, std::span<const int32_t> tokens);

  /// The same as read(), for tokens on the device.
  void forward(int64_t first, Tensor tokens);

  const GPTModel& model_;
  Device& device_;
  int64_t sequences_, rows_;  // B, and the most rows a pass can have
  Buffer memory_;
  std::vector<LayerCache> layers_;
  LayerActivations activations_;
  LayerScratch scratch_;
  Tensor tokens_, past_, x_, y_, last_, logits_;
  NormStats stats_;
  std::unique_ptr<Device::Graph> append_;
  int64_t length_ = 0;
};

}  // namespace hipgpt
