// GPTModel: token and position embeddings, L transformer layers, and a head that gives logits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "device.h"
#include "model_config.h"
#include "parameters.h"
#include "transformer_layer.h"

namespace hipgpt {

class GPTModel {
 public:
  /// Weights are zero until initialize() or a checkpoint fills them.
  GPTModel(Device& device, const ModelConfig& config);
  ~GPTModel();

  const ModelConfig& config() const { return config_; }
  const ParameterLayout& layout() const { return layout_; }
  Parameters& weights() { return weights_; }
  const Parameters& weights() const { return weights_; }
  Device& device() const { return device_; }

  // ---- Training -----------------------------------------------------------------------------------------

  /// Plans and allocates activations and scratch for batches of up to B sequences of T tokens, once.
  /// Without `gradients`, only loss(), token_losses() and logits() can follow.
  void plan(int batch, int seq_len, bool gradients);

  /// Mean cross-entropy in nats of predicting targets [B,T] from inputs [B,T] (host memory), B as planned or
  /// fewer. Error, here and below, for a token that is not in the vocabulary.
  double loss(const int32_t* inputs, const int32_t* targets, int batch);

  /// Its terms: the cross-entropy of each of the B*T targets.
  std::vector<float> token_losses(const int32_t* inputs, const int32_t* targets, int batch);

  /// The mean with dropout, and its gradient times `scale` is added to `grads`. `pass` counts the forward
  /// passes of a run, for dropout.
  double loss_and_gradients(const int32_t* inputs, const int32_t* targets, int batch, Parameters& grads,
                            float scale, const Dropout& dropout, uint32_t pass);

  /// The two halves of loss_and_gradients(), for whoever does not want to wait for each loss: a batch to the
  /// device, and operations that can be recorded. The result, [1], is the sum of the losses of all B*T
  /// tokens.
  void set_batch(const int32_t* inputs, const int32_t* targets, int batch, uint32_t pass);
  Tensor compute_loss_and_gradients(Parameters& grads, float scale, const Dropout& dropout);

  /// Logits [B*T,V] in host memory of the planned pass, for tests and evaluation.
  std::vector<float> logits(const int32_t* inputs, int batch);

  // ---- Generation ---------------------------------------------------------------------------------------

  /// The keys and values of B sequences that grow together, and the workspace to extend them.
  class Cache;
  std::unique_ptr<Cache> make_cache(int sequences = 1) const;

  /// Empties the cache and begins all its sequences with the same tokens, which are read once. Returns the
  /// logits [B,V] after the last one. Error, here and in extend(), for a token that is not in the vocabulary.
  Tensor begin(Cache& cache, std::span<const int32_t> tokens) const;

  /// Appends `tokens` [B,T] to the cached sequences (at most S in each) and returns the logits [B,V] after
  /// the last ones.
  Tensor extend(Cache& cache, std::span<const int32_t> tokens) const;

  /// The same for a token each, int32 [B,1] on the device, as operations that can be recorded. Whoever runs
  /// them says so to the cache, by Cache::appended().
  Tensor append(Cache& cache, Tensor tokens) const;

 private:
  struct Workspace;

  /// Fills the workspace up to the hidden states that the head reads, and returns them, [batch*T,E].
  Tensor forward(Dropout dropout);

  /// Error if `count` tokens do not fit behind `past`.
  void check_room(int64_t past, int64_t count) const;

  void set_length(Cache& cache, int64_t length) const;

  /// Reads tokens [count,T] of host memory into `count` of the cached sequences, from `first` on, behind
  /// those that all have, and fills their rows of the logits.
  void read(Cache& cache, int64_t first, int64_t count, std::span<const int32_t> tokens) const;

  /// The same for tokens on the device.
  void forward_cached(Cache& cache, int64_t first, Tensor tokens) const;

  /// logits = hidden W^T + b for some rows of hidden states.
  void head(Tensor logits, Tensor hidden) const;

  /// Turns workspace dhidden [batch*T,E], the gradient of the head's input, into that of every parameter.
  void backward(Parameters& grads, Dropout dropout);

  /// Head, loss and, if `grads` is given, their gradient, for some rows at a time, so that the logits of a
  /// large vocabulary never lie in memory all at once. Returns the sum of the losses, [1].
  Tensor head_loss(Tensor hidden, Parameters* grads, float scale);

  double mean(Tensor total_loss) const;
  Tensor head_weight(const Parameters& parameters) const;

  Device& device_;
  ModelConfig config_;
  ParameterLayout layout_;
  Parameters weights_;
  std::vector<TransformerLayer> layers_;
  std::unique_ptr<Workspace> workspace_;
};

/// Cached sequences of equal length, up to S tokens.
class GPTModel::Cache {
 public:
  int64_t sequences() const { return sequences_; }
  int64_t length() const { return length_; }
  void clear() { length_ = 0; }
  void appended() { ++length_; }

  /// [B,V] after the last tokens.
  Tensor logits() const { return logits_; }

 private:
  friend class GPTModel;
  Cache(Device& device, const ModelConfig& config, int64_t sequences);
  LayerCache layer(size_t l, int64_t first, int64_t count) const;

  int64_t sequences_, rows_;  // B, and how many rows a pass can have
  Buffer memory_;
  std::vector<LayerCache> layers_;
  LayerActivations keep_;
  LayerScratch scratch_;
  Tensor tokens_, past_, x_, y_, last_, mean_, rstd_, logits_;
  int64_t length_ = 0;
};

}  // namespace hipgpt
