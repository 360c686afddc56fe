// GPTWeights: every weight of a GPT by name, in one flat buffer.
#pragma once

#include <cstdint>
#include <functional>
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

/// The weights of a model, or anything of the same layout: gradients and the two moments of AdamW. Since they
/// lie in one buffer, each of "update", "norm", "copy" and "save" is a single pass.
///
/// Matrices come first and vectors after them, so that weight decay, which is for matrices only, applies to
/// the first `decayed()` elements.
class GPTWeights {
 public:
  /// Names and shapes alone: tensors without memory.
  explicit GPTWeights(const ModelConfig& config);

  /// Zeroed weights on a device, which must outlive them.
  GPTWeights(Device& device, const ModelConfig& config);

  Tensor wte;                        ///< [V,E]
  Tensor wpe;                        ///< [S,E]
  std::vector<LayerWeights> layers;  ///< [L]
  Norm final_norm;                   ///< [E], or none
  Linear head;                       ///< [V,E], or wte if it is tied; bias [V] or none

  const ModelConfig& config() const { return config_; }

  /// All of them, [n].
  Tensor flat() const { return flat_; }
  int64_t size() const { return flat_.size(); }

  /// Elements of matrices.
  int64_t decayed() const { return decayed_; }

  /// Calls f for every weight, in the order of the buffer, with its name as Hugging Face's GPT-2 has it.
  using Visitor = std::function<void(const std::string& name, const Tensor& tensor, bool decays)>;
  void for_each(const Visitor& f) const;

  /// The weight of that name; Error if the model has none.
  Tensor tensor(const std::string& name) const;

 private:
  template <typename Self, typename F>
  static void visit(Self& weights, const F& f);
  void place(std::byte* memory);

  ModelConfig config_;
  Buffer buffer_;
  Tensor flat_;
  int64_t decayed_ = 0;
};

/// GPT-2's initialisation (Radford et al., 2019): matrices from N(0, 0.02), those that end a residual branch
/// from N(0, 0.02/sqrt(2L)), biases 0, LayerNorm weights 1. A pure function of the seed.
void initialize(GPTWeights& weights, Device& device, uint64_t seed);

}  // namespace hipgpt
