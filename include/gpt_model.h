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
  /// Without `gradients`, only loss() can follow.
  void plan(int batch, int seq_len, bool gradients);

  /// Mean cross-entropy in nats of predicting targets [B,T] from inputs [B,T] (host memory), B as planned or
  /// fewer.
  double loss(const int32_t* inputs, const int32_t* targets, int batch);

  /// The same with dropout, and its gradient times `scale` is added to `grads`.
  double loss_and_gradients(const int32_t* inputs, const int32_t* targets, int batch, Parameters& grads,
                            float scale, const Dropout& dropout);

  /// Logits [B*T,V] in host memory of the planned pass, for tests and evaluation.
  std::vector<float> logits(const int32_t* inputs, int batch);

  // ---- Generation ---------------------------------------------------------------------------------------

  /// The keys and values of one growing sequence, and the workspace to extend it.
  class Cache;
  std::unique_ptr<Cache> make_cache() const;

  /// Appends tokens to the cached sequence (at most S in all) and returns the logits [V] after the last one.
  std::span<const float> extend(Cache& cache, std::span<const int32_t> tokens) const;

 private:
  struct Workspace;

  /// Fills the workspace up to the hidden states that the head reads, and returns them, [batch*T,E].
  Tensor forward(const int32_t* inputs, int batch, const Dropout& dropout);

  /// logits = hidden W^T + b for some rows of hidden states.
  void head(Tensor logits, Tensor hidden) const;

  /// Turns workspace dx [batch*T,E] from the gradient of the head's input into that of every parameter.
  void backward(int batch, Parameters& grads, const Dropout& dropout);

  /// Head, loss and, if `grads` is given, their gradient, for kHeadRows rows at a time, so that the logits of
  /// a large vocabulary never lie in memory all at once.
  double head_loss(Tensor hidden, const int32_t* targets, Parameters* grads, float scale);

  Tensor head_weight(const Parameters& parameters) const;

  Device& device_;
  ModelConfig config_;
  ParameterLayout layout_;
  Parameters weights_;
  std::vector<TransformerLayer> layers_;
  std::unique_ptr<Workspace> workspace_;
};

/// A cached sequence of up to S tokens.
class GPTModel::Cache {
 public:
  int64_t length() const { return length_; }
  void clear() { length_ = 0; }

 private:
  friend class GPTModel;
  Cache(Device& device, const ModelConfig& config);

  Buffer memory_;
  std::vector<LayerCache> layers_;
  LayerActivations keep_;
  LayerScratch scratch_;
  Tensor tokens_, x_, y_, mean_, rstd_, logits_;
  std::vector<float> host_logits_;
  int64_t length_ = 0;
};

}  // namespace hipgpt
