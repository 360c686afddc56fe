// GPTModel: token and position embeddings, L transformer layers, and a head that computes logits.
//
// A model consists of its config and its weights. Everything else that a computation needs belongs to the
// computation: TrainingPass (training_pass.h) owns the activations of a batch, and KVCache (kv_cache.h) owns
// the keys and values of sequences during generation.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "device.h"
#include "gpt_weights.h"
#include "model_config.h"
#include "transformer_layer.h"

namespace hipgpt {

/// The weights of a model that can be trained are fp32. It computes in fp32 or in bf16: in bf16, activations
/// are bf16, and operations read a rounded copy of the matrices. A model that only generates computes in fp32
/// with weights in any format; StoredWeights::model() makes it.
class GPTModel {
 public:
  /// Weights are zero until initialize() or a checkpoint fills them. The device must outlive the model.
  /// Throws Error for a dtype other than fp32 and bf16.
  GPTModel(Device& device, const ModelConfig& config, DType dtype = DType::kF32);

  /// A model that only generates, in `dtype`. The device must be able to read the weights, and outlive the model.
  /// `folded` says that the LayerNorms of the layers are part of the linear layers after them, whose weights sum to 0
  /// over `in`; the weights of these LayerNorms are 1, their biases 0.
  GPTModel(Device& device, GPTWeights weights, DType dtype, bool folded);

  Device& device() const { return device_; }
  const ModelConfig& config() const { return config_; }

  /// The type in which the model computes.
  DType dtype() const { return dtype_; }

  const GPTWeights& weights() const { return weights_; }

  /// Whether what is left of the layers' LayerNorms is one factor per row (see Device::fused_linear).
  bool has_folded_norms() const { return folded_; }

  /// The format of the matrices that products read.
  DType weights_dtype() const { return operands().head.weight.dtype(); }

  /// Calls f, which may write the weights, and then rounds the matrices if the model computes in bf16. Throws
  /// Error for a model that only generates.
  void write_weights(const std::function<void(const GPTWeights& weights)>& f);

  /// The weights that operations read: the weights themselves, or the rounded matrices and the fp32 vectors.
  const GPTWeights& operands() const { return rounded_ ? *rounded_ : weights_; }

  /// The rounded matrices as one tensor, bf16 [weights().decayed()], or none if the model computes in fp32.
  Tensor rounded_matrices() const { return rounded_ ? rounded_->flat() : Tensor(); }

  const std::vector<TransformerLayer>& layers() const { return layers_; }

 private:
  void add_layers();

  Device& device_;
  ModelConfig config_;
  DType dtype_;
  GPTWeights weights_;
  std::optional<GPTWeights> rounded_;
  std::vector<TransformerLayer> layers_;
  bool only_generates_ = false, folded_ = false;
};

/// The type that `name` ("auto", "fp32" or "bf16") selects for a model on a device. "auto" is the device's
/// preferred type, or fp32 for sizes that bf16 kernels are slow for: E, F or E/H not a multiple of 8, or E/H
/// over 128. Throws Error for any other name.
DType choose_dtype(const std::string& name, const Device& device, const ModelConfig& config);

/// The format that `name` ("fp32", "bf16" or "int8") selects for the weights of a model that only generates, in
/// which the device computes in `dtype`; "fp32" selects `dtype`. Throws Error for any other name, and for a narrow format
/// on a CPU that does not compute in fp32, or on a GPU that does not compute in bf16.
DType choose_weights(const std::string& name, const Device& device, DType dtype);

/// "fp32", "bf16" or "int8".
std::string name_of(DType dtype);

/// One line to show to the user: the device of a model, and its dtype and that of its weights unless they are
/// fp32.
std::string where_it_computes(const GPTModel& model);

/// GPT-2's initialisation (Radford et al., 2019): matrices from N(0, 0.02), except N(0, 0.02/sqrt(2L)) for
/// the last matrix of a residual branch; biases 0, LayerNorm weights 1. The result is a pure function of the
/// seed.
void initialize(GPTModel& model, uint64_t seed);

}  // namespace hipgpt
