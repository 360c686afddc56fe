#include "checkpoint/folded_norms.h"

#include "checkpoint/float_values.h"

namespace hipgpt {

namespace {

/// A LayerNorm and the linear layer after it, by the ends of their names.
struct Folding {
  std::string norm, layer;
};

const Folding kFoldings[] = {{"ln_1", "attn.c_attn"}, {"ln_2", "mlp.c_fc"}};

std::vector<float> values(const StoredWeights& weights, const std::string& name) {
  const SafetensorsTensor& tensor = weights.tensors.at(name);
  size_t size = 1;
  for (const uint64_t dim : tensor.shape) size *= dim;
  std::vector<float> result(size);
  read_floats(result, tensor);
  return result;
}

std::vector<float> folded_weight(std::vector<float> weight, const std::vector<float>& scale) {
  const size_t in = scale.size(), out = weight.size() / in;
  std::vector<double> means(out, 0.0);
  for (size_t k = 0; k < in; ++k) {
    for (size_t j = 0; j < out; ++j)
      means[j] += double{scale[k]} * weight[k * out + j] / static_cast<double>(in);
  }
  for (size_t k = 0; k < in; ++k) {
    for (size_t j = 0; j < out; ++j) {
      float& w = weight[k * out + j];
      w = static_cast<float>(double{scale[k]} * w - means[j]);
    }
  }
  return weight;
}

std::vector<float> folded_bias(const std::vector<float>& bias, const std::vector<float>& weight,
                               const std::vector<float>& shift) {
  const size_t in = shift.size(), out = bias.size();
  std::vector<double> sums(bias.begin(), bias.end());
  for (size_t k = 0; k < in; ++k) {
    for (size_t j = 0; j < out; ++j) sums[j] += double{shift[k]} * weight[k * out + j];
  }
  return {sums.begin(), sums.end()};
}

}  // namespace

std::vector<float> folded_values(const StoredWeights& weights, const std::string& name) {
  for (const auto& [norm, layer] : kFoldings) {
    const auto stem_before = [&](const std::string& end) {
      return name.ends_with("." + end) ? name.substr(0, name.size() - end.size()) : std::string();
    };
    if (!stem_before(norm + ".weight").empty()) return std::vector<float>(values(weights, name).size(), 1.0f);
    if (!stem_before(norm + ".bias").empty()) return std::vector<float>(values(weights, name).size(), 0.0f);
    if (const std::string stem = stem_before(layer + ".weight"); !stem.empty()) {
      return folded_weight(values(weights, name), values(weights, stem + norm + ".weight"));
    }
    if (const std::string stem = stem_before(layer + ".bias"); !stem.empty()) {
      return folded_bias(values(weights, name), values(weights, stem + layer + ".weight"),
                         values(weights, stem + norm + ".bias"));
    }
  }
  return {};
}

}  // namespace hipgpt
