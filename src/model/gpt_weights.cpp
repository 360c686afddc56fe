#include "gpt_weights.h"

#include <fmt/format.h>

#include <type_traits>

#include "error.h"

namespace hipgpt {

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

GPTWeights::GPTWeights(const ModelConfig& config, const Place& place, std::shared_ptr<const void> memory)
    : GPTWeights(config) {
  memory_ = std::move(memory);
  visit(*this, [&](const std::string& name, Tensor& tensor, std::initializer_list<int64_t>) {
    tensor = place(name, tensor);
  });
  if (config.tied_head) head.weight = wte;
  for (LayerWeights& layer : layers) {
    for (Linear* linear : {&layer.qkv, &layer.out, &layer.ff1, &layer.ff2}) {
      if (linear->weight.dtype() != DType::kF32) linear->layout = Layout::kOutIn;
    }
  }
}

GPTWeights GPTWeights::rounded(Device& device, const GPTWeights& weights) {
  GPTWeights copy(weights.config_);
  copy.buffer_ = Buffer(device, dtype_bytes(DType::kBF16, weights.decayed_));
  copy.place(2, copy.buffer_.data(), DType::kBF16);
  copy.flat_ = Tensor(copy.buffer_.data(), {weights.decayed_}, DType::kBF16);
  // Both lists have the same order, so the vectors of one can be copied to the other in turn.
  std::vector<Tensor> vectors;
  visit(weights, [&](const std::string&, const Tensor& tensor, std::initializer_list<int64_t> shape) {
    if (shape.size() == 1) vectors.push_back(tensor);
  });
  size_t next = 0;
  visit(copy, [&](const std::string&, Tensor& tensor, std::initializer_list<int64_t> shape) {
    if (shape.size() == 1) tensor = vectors[next++];
  });
  return copy;
}

/// Sets the shapes and addresses of the tensors of a rank, which follow each other from `memory` on. Returns
/// the number of their elements.
int64_t GPTWeights::place(size_t rank, std::byte* memory, DType dtype) {
  int64_t offset = 0;
  visit(*this, [&](const std::string&, Tensor& tensor, std::initializer_list<int64_t> shape) {
    if (shape.size() != rank) return;
    auto* const address = memory == nullptr ? nullptr : memory + dtype_bytes(dtype, offset);
    tensor = Tensor(address, shape, dtype);
    offset += tensor.size();
  });
  if (rank == 2 && config_.tied_head) head.weight = wte;
  return offset;
}

/// Places all tensors: matrices first, then vectors.
void GPTWeights::place(std::byte* memory) {
  decayed_ = place(2, memory, DType::kF32);
  const size_t bytes = static_cast<size_t>(decayed_) * sizeof(float);
  flat_ = Tensor(memory, {decayed_ + place(1, memory == nullptr ? nullptr : memory + bytes, DType::kF32)});
}

int64_t GPTWeights::layer_matrices(size_t l) const {
  const Tensor last = layers.back().ff2.weight;
  return (l < layers.size() ? layers[l].qkv.weight.f32() : last.f32() + last.size()) - flat_.f32();
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

}  // namespace hipgpt
