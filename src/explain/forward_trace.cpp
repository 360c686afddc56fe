#include "explain/forward_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "error.h"
#include "model/host_values.h"
#include "model/layer_memory.h"
#include "util/number_text.h"
#include "util/parameter.h"

namespace hipgpt {

namespace {

/// A forward pass with all of its activations in device memory, as TrainingPass has them for its gradients.
class Pass {
 public:
  Pass(const GPTModel& model, std::span<const int32_t> tokens)
      : model_(model), device_(model.device()), T_(static_cast<int64_t>(tokens.size())) {
    const ModelConfig& c = model.config();
    if (T_ < 1 || T_ > c.max_seq_len) {
      throw Error(fmt::format("{} do not fit a model with {} {}: give 1 to {}",
                              counted(tokens.size(), "token"), Parameter::kMaxSeqLen, c.max_seq_len,
                              c.max_seq_len));
    }
    c.check_tokens(tokens, "the text to explain");
    const int64_t E = c.embed_dim;
    const DType dtype = model.dtype();
    layers_.resize(static_cast<size_t>(c.num_layers));
    x_.resize(layers_.size() + 1);
    MemoryPlan plan;
    plan.add(tokens_, {1, T_}, DType::kI32);
    for (LayerActivations& a : layers_) plan_activations(plan, a, c, T_, dtype);
    plan_scratch(plan, scratch_, c, T_, dtype, false);
    for (Tensor& x : x_) plan.add(x, {T_, E}, dtype);
    plan.add(normed_, {T_, E}, dtype);
    plan.add(stats_.mean, {T_});
    plan.add(stats_.rstd, {T_});
    plan.add(logits_, {T_, c.vocab_size});
    memory_ = plan.allocate(device_);
    device_.copy_to_device(tokens_, tokens.data());
  }

  void run() const {
    const GPTWeights& w = model_.operands();
    const std::vector<TransformerLayer>& layers = model_.layers();
    const auto norm_before = [&](size_t l) {
      return l < layers.size() ? layers[l].input_norm(layers_[l]) : final_norm();
    };
    device_.embedding(x_[0], tokens_, w.wte, w.wpe, {});
    const ResidualNorm first = norm_before(0);
    device_.layernorm(first.y, first.stats, x_[0], first.norm);
    for (size_t l = 0; l < layers.size(); ++l) {
      layers[l].forward(x_[l + 1], norm_before(l + 1), x_[l], 1, layers_[l], scratch_, {});
    }
    device_.linear(logits_, model_.config().final_layernorm ? normed_ : x_.back(), w.head, Activation::kNone,
                   {});
  }

  /// The logit lens: final LayerNorm and head, applied to the stream at any place.
  Rows lens(const Tensor& stream) const {
    Tensor hidden = stream;
    if (model_.config().final_layernorm) {
      device_.layernorm(normed_, stats_, stream, final_norm().norm);
      hidden = normed_;
    }
    device_.linear(logits_, hidden, model_.operands().head, Activation::kNone, {});
    return rows(logits_);
  }

  Rows rows(const Tensor& t) const { return {t.dim(1), values_of(device_, t)}; }

  const Tensor& stream(size_t l) const { return x_[l]; }
  const LayerActivations& layer(size_t l) const { return layers_[l]; }

  /// y = x W, without the bias.
  Rows product(const Tensor& x, const Linear& layer) const {
    const int64_t E = model_.config().embed_dim;
    const Buffer memory(device_, dtype_bytes(x.dtype(), x.dim(0) * E));
    const Tensor y(memory.data(), {x.dim(0), E}, x.dtype());
    device_.linear(y, x, {layer.weight, {}, layer.layout}, Activation::kNone, {});
    return rows(y);
  }

  /// What each head of a layer adds to the stream: the output projection is linear, so it may be applied to
  /// one head at a time, with zeros in place of the others.
  Rows of_head(size_t l, int64_t head) const {
    const int64_t E = model_.config().embed_dim, D = model_.config().head_dim();
    const Tensor& all = layers_[l].attention;
    Rows alone = rows(all);
    for (int64_t i = 0; i < T_ * E; ++i) {
      if (i % E / D != head) alone.values[static_cast<size_t>(i)] = 0.0f;
    }
    const Buffer memory(device_, dtype_bytes(all.dtype(), T_ * E));
    const Tensor x(memory.data(), {T_, E}, all.dtype());
    if (all.dtype() == DType::kF32) {
      device_.copy_to_device(x, alone.values.data());
    } else {
      std::vector<uint16_t> bits(alone.values.size());
      std::ranges::transform(alone.values, bits.begin(), to_bf16);
      device_.copy_to_device(x, bits.data());
    }
    return product(x, model_.operands().layers[l].out);
  }

 private:
  ResidualNorm final_norm() const {
    if (!model_.config().final_layernorm) return {};
    return {normed_, stats_, model_.operands().final_norm};
  }

  const GPTModel& model_;
  Device& device_;
  int64_t T_;
  Buffer memory_;
  Tensor tokens_;                         // [1,T]
  std::vector<Tensor> x_;                 // [L+1] of [T,E]
  std::vector<LayerActivations> layers_;  // [L]
  LayerScratch scratch_;
  Tensor normed_;    // [T,E]
  NormStats stats_;  // [T]
  Tensor logits_;    // [T,V]
};

Rows one_row(Device& device, const Tensor& vector) {
  return {vector.size(), values_of(device, vector)};
}

/// The rows of the two embeddings, as the model reads them.
void add_embeddings(std::vector<StreamPart>& parts, const GPTModel& model, std::span<const int32_t> tokens) {
  const GPTWeights& w = model.operands();
  const int64_t E = model.config().embed_dim;
  Rows token{E, {}};
  for (const int32_t id : tokens) {
    const Rows row = one_row(model.device(), w.wte.rows(id, 1));
    token.values.insert(token.values.end(), row.values.begin(), row.values.end());
  }
  parts.push_back({"token", true, std::move(token)});
  const Tensor positions = w.wpe.rows(0, static_cast<int64_t>(tokens.size()));
  parts.push_back({"position", true, {E, values_of(model.device(), positions)}});
}

}  // namespace

ForwardTrace trace_forward(const GPTModel& model, std::span<const int32_t> tokens, const OnLens& on_lens) {
  Device& device = model.device();
  const GPTWeights& w = model.operands();
  const Pass pass(model, tokens);
  pass.run();
  ForwardTrace trace;
  trace.tokens = static_cast<int64_t>(tokens.size());
  const auto add_place = [&](std::string name, const Tensor& stream) {
    trace.places.push_back(std::move(name));
    trace.stream.push_back(pass.rows(stream));
    trace.logits = pass.lens(stream);
    on_lens(trace.logits);
  };
  add_place("embedding", pass.stream(0));
  add_embeddings(trace.parts, model, tokens);
  for (size_t l = 0; l < model.layers().size(); ++l) {
    const LayerActivations& saved = pass.layer(l);
    const std::string layer = fmt::format("layer {} ", l);
    trace.qkv.push_back(pass.rows(saved.qkv));
    trace.attention.push_back(pass.rows(saved.attention));
    for (int64_t h = 0; h < model.config().num_heads; ++h) {
      trace.parts.push_back({layer + fmt::format("head {}", h), true, pass.of_head(l, h)});
    }
    trace.parts.push_back({layer + "attention bias", false, one_row(device, w.layers[l].out.bias)});
    add_place(fmt::format("attention {}", l), saved.residual_mid);
    trace.parts.push_back({layer + "feed-forward", true, pass.product(saved.ff, w.layers[l].ff2)});
    trace.parts.push_back({layer + "feed-forward bias", false, one_row(device, w.layers[l].ff2.bias)});
    add_place(fmt::format("feed-forward {}", l), pass.stream(l + 1));
  }
  return trace;
}

std::vector<TimingDevice::Call> time_forward(const GPTModel& model, std::span<const int32_t> tokens,
                                             TimingDevice& timing) {
  using Clock = std::chrono::steady_clock;
  constexpr size_t kPasses = 9;
  const Pass pass(model, tokens);
  pass.run();  // touches memory and loads kernels for the first time
  std::vector<std::vector<TimingDevice::Call>> passes;
  const auto start = Clock::now();
  while (passes.empty() || (passes.size() < kPasses && Clock::now() - start < std::chrono::seconds(2))) {
    timing.start();
    pass.run();
    passes.push_back(timing.stop());
  }
  std::vector<TimingDevice::Call> result = passes[0];
  for (size_t i = 0; i < result.size(); ++i) {
    std::vector<double> times;
    for (const auto& calls : passes) times.push_back(calls[i].seconds);
    std::ranges::nth_element(times, times.begin() + static_cast<ptrdiff_t>(times.size() / 2));
    result[i].seconds = times[times.size() / 2];
  }
  return result;
}

std::vector<std::string> forward_labels(const ModelConfig& config) {
  std::vector<std::string> labels = {"embedding", "layer 0 LayerNorm 1"};
  for (int l = 0; l < config.num_layers; ++l) {
    const std::string layer = fmt::format("layer {} ", l);
    for (const char* name : {"QKV", "attention", "O", "residual + LayerNorm 2"})
      labels.push_back(layer + name);
    labels.push_back(layer + "FF1 + " + to_string(config.activation));
    labels.push_back(layer + "FF2");
    const bool last = l + 1 == config.num_layers;
    const std::string norm = !last                    ? fmt::format(" + layer {} LayerNorm 1", l + 1)
                             : config.final_layernorm ? " + final LayerNorm"
                                                      : "";
    labels.push_back(layer + "residual" + norm);
  }
  labels.push_back("head");
  return labels;
}

std::vector<std::vector<double>> attention_weights(const Rows& qkv, int64_t heads, int64_t head) {
  const int64_t E = qkv.width / 3, D = E / heads;
  const int64_t T = static_cast<int64_t>(qkv.values.size()) / qkv.width;
  const auto part = [&](int64_t t, int64_t which) {  // 0: the query, 1: the key
    return qkv.row(t).subspan(static_cast<size_t>(which * E + head * D), static_cast<size_t>(D));
  };
  std::vector<std::vector<double>> weights;
  for (int64_t i = 0; i < T; ++i) {
    std::vector<double> row;
    for (int64_t j = 0; j <= i; ++j) {
      double score = 0.0;
      for (int64_t d = 0; d < D; ++d) {
        const auto at = static_cast<size_t>(d);
        score += static_cast<double>(part(i, 0)[at]) * part(j, 1)[at];
      }
      row.push_back(score / std::sqrt(static_cast<double>(D)));
    }
    const double largest = *std::ranges::max_element(row);
    double total = 0.0;
    for (double& value : row) total += value = std::exp(value - largest);
    for (double& value : row) value /= total;
    weights.push_back(std::move(row));
  }
  return weights;
}

}  // namespace hipgpt
