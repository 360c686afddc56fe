// GPTWeights: every weight of a GPT by name, in one flat buffer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "device.h"
#include "model_config.h"

namespace hipgpt {

/// The weights of one layer, or their gradients.
struct LayerWeights {
  Norm ln1;    ///< [E]
  Linear qkv;  ///< [E,3E]
  Linear out;  ///< [E,E]
  Norm ln2;    ///< [E]
  Linear ff1;  ///< [E,F]
  Linear ff2;  ///< [F,E]
};

/// The weights of a model, or anything with the same layout: the gradients and the two moments of AdamW. They
/// share one buffer, so an update, a norm, a copy and a save each take a single pass.
///
/// Matrices come before vectors. Weight decay is for matrices only, so it applies to the first `decayed()`
/// elements.
class GPTWeights {
 public:
  /// Names and shapes only; the tensors have no memory.
  explicit GPTWeights(const ModelConfig& config);

  /// Zeroed weights on a device, which must outlive them.
  GPTWeights(Device& device, const ModelConfig& config);

  /// Weights that lie elsewhere, each where `place` says for its name and shape. `memory` keeps them there. A
  /// tensor that `place` returns in bf16 or int8 is [out,in]. flat() has no memory.
  using Place = std::function<Tensor(const std::string& name, const Tensor& shape)>;
  GPTWeights(const ModelConfig& config, const Place& place, std::shared_ptr<const void> memory);

  /// The vectors of `weights` and bf16 matrices in memory of their own, with undefined values. flat() has the
  /// matrices alone. `weights` and the device must outlive the result.
  static GPTWeights rounded(Device& device, const GPTWeights& weights);

  Tensor wte;                        ///< [V,E]
  Tensor wpe;                        ///< [S,E]
  std::vector<LayerWeights> layers;  ///< [L]
  Norm final_norm;                   ///< [E], or none
  Linear head;                       ///< [V,E], or wte if it is tied; bias [V] or none

  const ModelConfig& config() const { return config_; }

  /// All weights as one tensor, [n].
  Tensor flat() const { return flat_; }
  int64_t size() const { return flat_.size(); }

  /// The index in flat() at which the matrices of layer l begin; for l = L, at which those of all layers end.
  int64_t layer_matrices(size_t l) const;

  /// The number of elements in matrices.
  int64_t decayed() const { return decayed_; }

  /// Calls f for every weight, in buffer order, with its name in Hugging Face's GPT-2.
  using Visitor = std::function<void(const std::string& name, const Tensor& tensor, bool decays)>;
  void for_each(const Visitor& f) const;

  /// The weight with this name. Throws Error if the model has none.
  Tensor tensor(const std::string& name) const;

 private:
  template <typename Self, typename F>
  static void visit(Self& weights, const F& f);
  void place(std::byte* memory);
  int64_t place(size_t rank, std::byte* memory, DType dtype);

  ModelConfig config_;
  Buffer buffer_;
  std::shared_ptr<const void> memory_;  // of weights that lie elsewhere
  Tensor flat_;
  int64_t decayed_ = 0;
};

}  // namespace hipgpt
