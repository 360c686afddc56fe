#include "gpt_model.h"

namespace hipgpt {

GPTModel::GPTModel(Device& device, const ModelConfig& config)
    : device_(device), config_(config), weights_(device, config) {
  for (int l = 0; l < config.num_layers; ++l) {
    layers_.emplace_back(device, config, weights_.layers[static_cast<size_t>(l)], l);
  }
}

}  // namespace hipgpt
