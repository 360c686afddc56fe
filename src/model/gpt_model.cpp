#include "gpt_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "error.h"
#include "model/memory_plan.h"

namespace hipgpt {

namespace {

using Op = Device::Op;

/// 256 rows of 5,000 logits are 5 MB: they stay in the last-level cache between the products that make and
/// use them.
constexpr int64_t kHeadRows = 256;

void plan_activations(MemoryPlan& plan, LayerActivations& a, const ModelConfig& c, int64_t rows) {
  const int64_t E = c.embed_dim, F = c.ff_hidden_dim;
  plan.add(a.ln1, {rows, E});
  plan.add(a.ln1_mean, {rows});
  plan.add(a.ln1_rstd, {rows});
  plan.add(a.qkv, {rows, 3 * E});
  plan.add(a.attention, {rows, E});
  plan.add(a.lse, {rows * c.num_heads});
  plan.add(a.middle, {rows, E});
  plan.add(a.ln2, {rows, E});
  plan.add(a.ln2_mean, {rows});
  plan.add(a.ln2_rstd, {rows});
  plan.add(a.ff_pre, {rows, F});
  plan.add(a.ff, {rows, F});
}

void plan_scratch(MemoryPlan& plan, LayerScratch& s, const ModelConfig& c, int64_t rows, bool gradients) {
  const int64_t E = c.embed_dim;
  plan.add(s.branch, {rows, E});
  if (!gradients) return;
  plan.add(s.dbranch, {rows, E});
  plan.add(s.dnorm, {rows, E});
  plan.add(s.dqkv, {rows, 3 * E});
  plan.add(s.dff, {rows, c.ff_hidden_dim});
}

}  // namespace

/// Everything a pass over [B,T] tokens needs besides weights and gradients.
struct GPTModel::Workspace {
  int batch, seq_len;
  bool gradients;
  Buffer memory;
  Tensor tokens, targets;  // [B,T], [R]
  std::vector<Tensor> x;   // [R,E] each: the input of every layer, and the output of the last
  std::vector<LayerActivations> layers;
  LayerScratch scratch;
  Tensor final_norm, final_mean, final_rstd;
  Tensor logits, losses, loss;  // [kHeadRows,V], [R], [1]
  Tensor dhidden, dx;           // [R,E]

  Workspace(Device& device, const ModelConfig& c, int B, int T, bool with_gradients)
      : batch(B), seq_len(T), gradients(with_gradients) {
    const int64_t rows = static_cast<int64_t>(B) * T, E = c.embed_dim;
    const auto L = static_cast<size_t>(c.num_layers);
    // Without a backward pass nothing needs to be kept: all layers share the same memory.
    x.resize(gradients ? L + 1 : 2);
    layers.resize(gradients ? L : 1);

    MemoryPlan plan;
    plan.add(tokens, {B, T}, DType::kI32);
    plan.add(targets, {rows}, DType::kI32);
    for (Tensor& t : x) plan.add(t, {rows, E});
    for (LayerActivations& a : layers) plan_activations(plan, a, c, rows);
    plan_scratch(plan, scratch, c, rows, gradients);
    if (c.final_layernorm) {
      plan.add(final_norm, {rows, E});
      plan.add(final_mean, {rows});
      plan.add(final_rstd, {rows});
    }
    plan.add(logits, {std::min(rows, kHeadRows), c.vocab_size});
    plan.add(losses, {rows});
    plan.add(loss, {1});
    if (gradients) {
      plan.add(dhidden, {rows, E});
      plan.add(dx, {rows, E});
    }
    memory = plan.allocate(device);
  }

  const LayerActivations& activations(size_t layer) const { return layers[gradients ? layer : 0]; }
  Tensor input(size_t layer, int64_t rows) const { return x[gradients ? layer : layer % 2].rows(0, rows); }
};

GPTModel::GPTModel(Device& device, const ModelConfig& config)
    : device_(device), config_(config), layout_((config.validate(), config)), weights_(device, layout_) {
  for (int l = 0; l < config.num_layers; ++l) layers_.emplace_back(device, config, weights_, l);
}

GPTModel::~GPTModel() = default;

void GPTModel::plan(int batch, int seq_len, bool gradients) {
  if (seq_len > config_.max_seq_len) {
    throw Error(
        fmt::format("sequences of {} tokens do not fit a model of --seq {}", seq_len, config_.max_seq_len));
  }
  workspace_.reset();
  workspace_ = std::make_unique<Workspace>(device_, config_, batch, seq_len, gradients);
}

Tensor GPTModel::head_weight(const Parameters& parameters) const {
  return parameters.tensor(config_.tied_head ? "transformer.wte.weight" : "lm_head.weight");
}

void GPTModel::head(Tensor logits, Tensor hidden) const {
  const Tensor bias = config_.head_bias ? weights_.tensor("lm_head.bias") : Tensor();
  device_.linear(logits, hidden, head_weight(weights_), Op::kTranspose, bias, Activation::kNone, {});
}

Tensor GPTModel::forward(const int32_t* inputs, int batch, const Dropout& dropout) {
  Workspace& w = *workspace_;
  const int64_t rows = static_cast<int64_t>(batch) * w.seq_len;
  const Tensor tokens = w.tokens.rows(0, batch);
  device_.copy_to_device(tokens, inputs);

  Tensor x = w.input(0, rows);
  device_.embedding(x, tokens, weights_.tensor("transformer.wte.weight"),
                    weights_.tensor("transformer.wpe.weight"), 0);
  if (dropout.p > 0.0f) device_.add_dropout(x, {}, x, dropout);
  for (size_t l = 0; l < layers_.size(); ++l) {
    const Tensor y = w.input(l + 1, rows);
    layers_[l].forward(y, x, batch, w.seq_len, w.activations(l), w.scratch, dropout);
    x = y;
  }
  if (!config_.final_layernorm) return x;
  const Tensor normed = w.final_norm.rows(0, rows);
  device_.layernorm(normed, w.final_mean, w.final_rstd, x, weights_.tensor("transformer.ln_f.weight"),
                    weights_.tensor("transformer.ln_f.bias"));
  return normed;
}

double GPTModel::head_loss(Tensor hidden, const int32_t* targets, Parameters* grads, float scale) {
  Workspace& w = *workspace_;
  const int64_t rows = hidden.dim(0);
  device_.copy_to_device(w.targets.rows(0, rows), targets);
  for (int64_t first = 0; first < rows; first += kHeadRows) {
    const int64_t count = std::min(kHeadRows, rows - first);
    const Tensor part = hidden.rows(first, count), logits = w.logits.rows(0, count);
    const Tensor losses = w.losses.rows(first, count), wanted = w.targets.rows(first, count);
    head(logits, part);
    if (grads == nullptr) {
      device_.cross_entropy(losses, logits, wanted);
      continue;
    }
    device_.cross_entropy_with_gradient(losses, logits, wanted, scale / static_cast<float>(rows));
    device_.matmul(head_weight(*grads), logits, Op::kTranspose, part, Op::kNone, true);
    if (config_.head_bias) device_.bias_backward(grads->tensor("lm_head.bias"), logits);
    device_.matmul(w.dhidden.rows(first, count), logits, Op::kNone, head_weight(weights_), Op::kNone, false);
  }
  device_.sum(w.loss, w.losses.rows(0, rows));
  float total = 0.0f;
  device_.copy_to_host(&total, w.loss);
  return static_cast<double>(total) / static_cast<double>(rows);
}

void GPTModel::backward(int batch, Parameters& grads, const Dropout& dropout) {
  Workspace& w = *workspace_;
  const int64_t rows = static_cast<int64_t>(batch) * w.seq_len;
  Tensor dx = w.dhidden.rows(0, rows);
  if (config_.final_layernorm) {
    dx = w.dx.rows(0, rows);
    device_.set_zero(dx);
    device_.layernorm_backward(dx, grads.tensor("transformer.ln_f.weight"),
                               grads.tensor("transformer.ln_f.bias"), w.dhidden.rows(0, rows),
                               w.input(layers_.size(), rows), weights_.tensor("transformer.ln_f.weight"),
                               w.final_mean.rows(0, rows), w.final_rstd.rows(0, rows));
  }
  for (size_t l = layers_.size(); l-- > 0;) {
    layers_[l].backward(dx, w.input(l, rows), batch, w.seq_len, w.activations(l), w.scratch,
                        LayerTensors(grads, static_cast<int>(l)), dropout);
  }
  if (dropout.p > 0.0f) device_.dropout_backward(dx, dx, dropout);
  device_.embedding_backward(grads.tensor("transformer.wte.weight"), grads.tensor("transformer.wpe.weight"),
                             dx, w.tokens.rows(0, batch));
}

double GPTModel::loss(const int32_t* inputs, const int32_t* targets, int batch) {
  return head_loss(forward(inputs, batch, Dropout{}), targets, nullptr, 0.0f);
}

double GPTModel::loss_and_gradients(const int32_t* inputs, const int32_t* targets, int batch,
                                    Parameters& grads, float scale, const Dropout& dropout) {
  const double mean_loss = head_loss(forward(inputs, batch, dropout), targets, &grads, scale);
  backward(batch, grads, dropout);
  return mean_loss;
}

std::vector<float> GPTModel::logits(const int32_t* inputs, int batch) {
  const Tensor hidden = forward(inputs, batch, Dropout{});
  const int64_t rows = hidden.dim(0), V = config_.vocab_size;
  std::vector<float> result(static_cast<size_t>(rows * V));
  for (int64_t first = 0; first < rows; first += kHeadRows) {
    const int64_t count = std::min(kHeadRows, rows - first);
    const Tensor part = workspace_->logits.rows(0, count);
    head(part, hidden.rows(first, count));
    device_.copy_to_host(result.data() + first * V, part);
  }
  return result;
}

GPTModel::Cache::Cache(Device& device, const ModelConfig& c)
    : layers_(static_cast<size_t>(c.num_layers)), host_logits_(static_cast<size_t>(c.vocab_size)) {
  const int64_t S = c.max_seq_len, E = c.embed_dim;
  MemoryPlan plan;
  for (LayerCache& layer : layers_) {
    plan.add(layer.keys, {S, E});
    plan.add(layer.values, {S, E});
  }
  plan_activations(plan, keep_, c, S);
  plan_scratch(plan, scratch_, c, S, false);
  plan.add(tokens_, {1, S}, DType::kI32);
  plan.add(x_, {S, E});
  plan.add(y_, {S, E});
  plan.add(mean_, {1});
  plan.add(rstd_, {1});
  plan.add(logits_, {1, c.vocab_size});
  memory_ = plan.allocate(device);
}

std::unique_ptr<GPTModel::Cache> GPTModel::make_cache() const {
  return std::unique_ptr<Cache>(new Cache(device_, config_));
}

std::span<const float> GPTModel::extend(Cache& cache, std::span<const int32_t> tokens) const {
  const auto count = static_cast<int64_t>(tokens.size());
  if (count == 0 || cache.length_ + count > config_.max_seq_len) {
    throw Error(fmt::format("{} tokens after {} do not fit a context of {}", count, cache.length_,
                            config_.max_seq_len));
  }
  const Tensor ids = cache.tokens_.reshape({config_.max_seq_len}).rows(0, count).reshape({1, count});
  device_.copy_to_device(ids, tokens.data());
  Tensor x = cache.x_.rows(0, count), y = cache.y_.rows(0, count);
  device_.embedding(x, ids, weights_.tensor("transformer.wte.weight"),
                    weights_.tensor("transformer.wpe.weight"), cache.length_);
  for (size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].forward_cached(y, x, cache.layers_[l], cache.length_, cache.keep_, cache.scratch_);
    std::swap(x, y);
  }
  cache.length_ += count;

  Tensor last = x.rows(count - 1, 1);
  if (config_.final_layernorm) {
    const Tensor normed = y.rows(0, 1);
    device_.layernorm(normed, cache.mean_, cache.rstd_, last, weights_.tensor("transformer.ln_f.weight"),
                      weights_.tensor("transformer.ln_f.bias"));
    last = normed;
  }
  head(cache.logits_, last);
  device_.copy_to_host(cache.host_logits_.data(), cache.logits_);
  return cache.host_logits_;
}

}  // namespace hipgpt
