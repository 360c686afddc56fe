#include "parameters.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "philox.h"

namespace hipgpt {

namespace {

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// values[i] ~ N(0, sigma): a pair of normals from each Philox block, so that value i depends on (seed,
/// stream, i).
void fill_normal(std::vector<float>& values, float sigma, uint64_t seed, uint32_t stream) {
  for (size_t i = 0; i < values.size(); i += 2) {
    const auto bits = philox4x32({static_cast<uint32_t>(i / 2), static_cast<uint32_t>((i / 2) >> 32), stream,
                                  static_cast<uint32_t>(RandomUse::kWeights)},
                                 philox_key(seed));
    const auto [a, b] = normal_pair(bits[0], bits[1]);
    values[i] = sigma * a;
    if (i + 1 < values.size()) values[i + 1] = sigma * b;
  }
}

}  // namespace

Parameters::Parameters(Device& device, const ParameterLayout& layout)
    : layout_(&layout),
      buffer_(device, static_cast<size_t>(layout.num_elements) * sizeof(float)),
      flat_(buffer_.data(), {layout.num_elements}) {
  device.set_zero(flat_);
}

Tensor Parameters::tensor(const std::string& name) const {
  const ParameterInfo& info = layout_->find(name);
  const Tensor part = flat_.rows(info.offset, info.size);
  return info.shape.size() == 2 ? part.reshape({info.shape[0], info.shape[1]}) : part;
}

void initialize(Parameters& parameters, const ModelConfig& config, Device& device, uint64_t seed) {
  const float sigma = 0.02f;
  const float residual_sigma = sigma / std::sqrt(2.0f * static_cast<float>(config.num_layers));
  const ParameterLayout& layout = parameters.layout();
  for (size_t i = 0; i < layout.tensors.size(); ++i) {
    const ParameterInfo& info = layout.tensors[i];
    std::vector<float> values(static_cast<size_t>(info.size), 0.0f);
    if (info.shape.size() == 2) {
      fill_normal(values, ends_with(info.name, "c_proj.weight") ? residual_sigma : sigma, seed,
                  static_cast<uint32_t>(i));
    } else if (ends_with(info.name, ".weight")) {  // LayerNorm
      std::fill(values.begin(), values.end(), 1.0f);
    }
    device.copy_to_device(parameters.tensor(info.name), values.data());
  }
}

}  // namespace hipgpt
