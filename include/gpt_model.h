// GPTModel: token and position embeddings, L transformer layers, and a head that computes logits.
//
// A model consists of its config and its weights. Everything else that a computation needs belongs to the
// computation: TrainingPass (training_pass.h) owns the activations of a batch, and KVCache (kv_cache.h) owns
// the keys and values of sequences during generation.
#pragma once

#include <vector>

#include "device.h"
#include "gpt_weights.h"
#include "model_config.h"
#include "transformer_layer.h"

namespace hipgpt {

class GPTModel {
 public:
  /// Weights are zero until initialize() or a checkpoint fills them. The device must outlive the model.
  GPTModel(Device& device, const ModelConfig& config);

  Device& device() const { return device_; }
  const ModelConfig& config() const { return config_; }
  GPTWeights& weights() { return weights_; }
  const GPTWeights& weights() const { return weights_; }
  const std::vector<TransformerLayer>& layers() const { return layers_; }

 private:
  Device& device_;
  ModelConfig config_;
  GPTWeights weights_;
  std::vector<TransformerLayer> layers_;
};

}  // namespace hipgpt
