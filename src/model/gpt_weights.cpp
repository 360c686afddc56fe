#include "gpt_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "error.h"
#include "philox.h"

namespace hipgpt {

namespace {

/// values[i] ~ N(0, sigma). Each Philox block gives a pair of normals, so value i depends only on (seed,
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

/// The only list of weights: calls f(name, tensor, shape) for each, from the model's input to its output.
template <typename Self, typename F>
void GPTWeights::visit(Self& w, const F& f) {
  using Shape = std::initializer_list<int64_t>;
  const ModelConfig& c = w.config_;
  const int64_t V = c.vocab_size, S = c.max_seq_len, E = c.embed_dim, F_ = c.ff_hidden_dim;

  f("transformer.wte.weight", w.wte, Shape{V, E});
  f("transformer.wpe.weight", w.wpe, Shape{S, E});
  for (size_t l = 0; l < w.layers.size(); ++l) {
    auto& layer = w.layers[l];
    const auto name = [l](const char* end) { return fmt::format("transformer.h.{}.{}", l, end); };
    f(name("ln_1.weight"), layer.ln1.weight, Shape{E});
    f(name("ln_1.bias"), layer.ln1.bias, Shape{E});
    f(name("attn.c_attn.weight"), layer.qkv.weight, Shape{E, 3 * E});
    f(name("attn.c_attn.bias"), layer.qkv.bias, Shape{3 * E});
    f(name("attn.c_proj.weight"), layer.out.weight, Shape{E, E});
    f(name("attn.c_proj.bias"), layer.out.bias, Shape{E});
    f(name("ln_2.weight"), layer.ln2.weight, Shape{E});
    f(name("ln_2.bias"), layer.ln2.bias, Shape{E});
    f(name("mlp.c_fc.weight"), layer.ff1.weight, Shape{E, F_});
    f(name("mlp.c_fc.bias"), layer.ff1.bias, Shape{F_});
    f(name("mlp.c_proj.weight"), layer.ff2.weight, Shape{F_, E});
    f(name("mlp.c_proj.bias"), layer.ff2.bias, Shape{E});
  }
  if (c.final_layernorm) {
    f("transformer.ln_f.weight", w.final_norm.weight, Shape{E});
    f("transformer.ln_f.bias", w.final_norm.bias, Shape{E});
  }
  if (!c.tied_head) f("lm_head.weight", w.head.weight, Shape{V, E});
  if (c.head_bias) f("lm_head.bias", w.head.bias, Shape{V});
}

GPTWeights::GPTWeights(const ModelConfig& config)
    : layers((config.validate(), static_cast<size_t>(config.num_layers))), config_(config) {
  head.layout = Layout::kOutIn;
  place(nullptr);
}

GPTWeights::GPTWeights(Device& device, const ModelConfig& config) : GPTWeights(config) {
  buffer_ = Buffer(device, flat_.bytes());
  place(buffer_.data());
  device.set_zero(flat_);
}

/// Sets the shapes and addresses of all tensors: matrices first, then vectors.
void GPTWeights::place(std::byte* memory) {
  int64_t offset = 0;
  for (const size_t rank : {2, 1}) {
    visit(*this, [&](const std::string&, Tensor& tensor, std::initializer_list<int64_t> shape) {
      if (shape.size() != rank) return;
      tensor =
          Tensor(memory == nullptr ? nullptr : memory + static_cast<size_t>(offset) * sizeof(float), shape);
      offset += tensor.size();
    });
    if (rank == 2) decayed_ = offset;
  }
  flat_ = Tensor(memory, {offset});
  if (config_.tied_head) head.weight = wte;
}

void GPTWeights::for_each(const Visitor& f) const {
  for (const bool decays : {true, false}) {
    visit(*this, [&](const std::string& name, const Tensor& tensor, std::initializer_list<int64_t> shape) {
      if ((shape.size() == 2) == decays) f(name, tensor, decays);
    });
  }
}

Tensor GPTWeights::tensor(const std::string& name) const {
  Tensor found;
  for_each([&](const std::string& other, const Tensor& tensor, bool) {
    if (other == name) found = tensor;
  });
  if (found.rank() == 0) throw Error("the model has no weight named " + name);
  return found;
}

void initialize(GPTWeights& weights, Device& device, uint64_t seed) {
  const float sigma = 0.02f;
  const float residual_sigma = sigma / std::sqrt(2.0f * static_cast<float>(weights.config().num_layers));
  uint32_t stream = 0;  // of random numbers; each weight has its own
  weights.for_each([&](const std::string& name, const Tensor& tensor, bool is_matrix) {
    std::vector<float> values(static_cast<size_t>(tensor.size()), 0.0f);
    if (is_matrix) {
      fill_normal(values, name.ends_with("c_proj.weight") ? residual_sigma : sigma, seed, stream);
    } else if (name.ends_with(".weight")) {  // LayerNorm
      std::fill(values.begin(), values.end(), 1.0f);
    }
    device.copy_to_device(tensor, values.data());
    ++stream;
  });
}

}  // namespace hipgpt
