// Parameters: one flat buffer of floats and the named tensors inside it.
#pragma once

#include "device.h"
#include "model_config.h"

namespace hipgpt {

/// The weights of a model, or anything of the same layout: gradients and the two moments of AdamW. Being
/// flat, each of "update", "norm", "copy" and "save" is a single pass.
class Parameters {
 public:
  /// Zeroed.
  Parameters(Device& device, const ParameterLayout& layout);

  Tensor flat() const { return flat_; }
  Tensor tensor(const std::string& name) const;
  const ParameterLayout& layout() const { return *layout_; }

 private:
  const ParameterLayout* layout_;
  Buffer buffer_;
  Tensor flat_;
};

/// GPT-2's initialisation (Radford et al., 2019): matrices from N(0, 0.02), those that end a residual branch
/// from N(0, 0.02/sqrt(2L)), biases 0, LayerNorm weights 1. A pure function of the seed.
void initialize(Parameters& parameters, const ModelConfig& config, Device& device, uint64_t seed);

}  // namespace hipgpt
