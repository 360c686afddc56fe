// KVCache: sequences that are being continued, each token at the cost of its own row.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "gpt_model.h"

namespace hipgpt {

/// The keys and values of B sequences that grow together, up to the model's S tokens, and the memory to
/// extend them. The model must outlive it.
///
/// Error, here and below, for more tokens than there is room for and for a token that is not in the
/// vocabulary.
class KVCache {
 public:
  /// B sequences without tokens.
  explicit KVCache(const GPTModel& model, int sequences = 1);
  KVCache(const KVCache&) = delete;  // a captured step refers to it
  KVCache& operator=(const KVCache&) = delete;

  int64_t sequences() const { return sequences_; }
  int64_t length() const { return length_; }
  void clear() { length_ = 0; }

  /// [B,V] after the last tokens, on the device. Error while there are none.
  Tensor logits() const;

  /// Begins all sequences anew with the same tokens, which are read once. Returns logits().
  Tensor begin(std::span<const int32_t> tokens);

  /// Appends `tokens` [B,T] to the sequences. Returns logits().
  Tensor extend(std::span<const int32_t> tokens);

  /// Captures a step that append() replays: the tokens that are then in `tokens`, int32 [B,1] on the device,
  /// are appended to the sequences, and `use` is done with the logits, by operations that can be captured.
  void capture_append(Tensor tokens, std::function<void(Tensor logits)> use);

  /// Replays the captured step. Error if none was captured or the sequences are empty.
  void append();

 private:
  LayerCache layer(size_t l, int64_t first, int64_t count) const;
  void check_room(int64_t past, int64_t count) const;
  void set_length(int64_t length);

  /// Reads tokens [count,T] of host memory into `count` of the sequences, from `first` on, behind those that
  /// all have, and fills their rows of the logits.
  void read(int64_t first, int64_t count, std::span<const int32_t> tokens);

  /// The same for tokens on the device.
  void forward(int64_t first, Tensor tokens);

  const GPTModel& model_;
  Device& device_;
  int64_t sequences_, rows_;  // B, and how many rows a pass can have
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
