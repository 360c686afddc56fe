#include "gpt_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "error.h"
#include "model/memory_plan.h"

namespace hipgpt {

namespace {

using Op = Device::Op;

/// How many rows of logits are made, used and forgotten at a time: as many as the device likes to work on,
/// but enough for efficient matrix products.
int64_t head_rows(const Device& device, int64_t vocab_size, int64_t rows) {
  const int64_t fit = device.working_set() / static_cast<int64_t>(vocab_size * sizeof(float)) / 32 * 32;
  return std::min(rows, std::max<int64_t>(fit, 256));
}

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
  int seq_len;
  bool gradients;
  int64_t head_rows;
  int batch = 0;  // at hand
  Buffer memory;
  std::vector<int32_t> host_batch;
  Tensor batch_memory;    // inputs, targets and the number of the pass, in one piece: one copy brings a batch
  std::vector<Tensor> x;  // [R,E] each: the input of every layer, and the output of the last
  std::vector<LayerActivations> layers;
  LayerScratch scratch;
  Tensor final_norm, final_mean, final_rstd;
  Tensor logits, losses, loss;  // [head_rows,V], [R], [1]
  Tensor dhidden, dx;           // [R,E]

  Workspace(Device& device, const ModelConfig& c, int B, int T, bool with_gradients)
      : seq_len(T),
        gradients(with_gradients),
        head_rows(hipgpt::head_rows(device, c.vocab_size, static_cast<int64_t>(B) * T)) {
    const int64_t rows = static_cast<int64_t>(B) * T, E = c.embed_dim;
    const auto L = static_cast<size_t>(c.num_layers);
    // Without a backward pass nothing needs to be kept: all layers share the same memory.
    x.resize(gradients ? L + 1 : 2);
    layers.resize(gradients ? L : 1);

    MemoryPlan plan;
    plan.add(batch_memory, {2 * rows + 1}, DType::kI32);
    for (Tensor& t : x) plan.add(t, {rows, E});
    for (LayerActivations& a : layers) plan_activations(plan, a, c, rows);
    plan_scratch(plan, scratch, c, rows, gradients);
    if (c.final_layernorm) {
      plan.add(final_norm, {rows, E});
      plan.add(final_mean, {rows});
      plan.add(final_rstd, {rows});
    }
    plan.add(logits, {head_rows, c.vocab_size});
    plan.add(losses, {rows});
    plan.add(loss, {1});
    if (gradients) {
      plan.add(dhidden, {rows, E});
      plan.add(dx, {rows, E});
    }
    memory = plan.allocate(device);
  }

  int64_t rows() const { return static_cast<int64_t>(batch) * seq_len; }
  Tensor tokens() const { return batch_memory.rows(0, rows()).reshape({batch, seq_len}); }
  Tensor targets() const { return batch_memory.rows(rows(), rows()); }
  Tensor pass() const { return batch_memory.rows(2 * rows(), 1); }
  const LayerActivations& activations(size_t layer) const { return layers[gradients ? layer : 0]; }
  Tensor input(size_t layer) const { return x[gradients ? layer : layer % 2].rows(0, rows()); }
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

void GPTModel::set_batch(const int32_t* inputs, const int32_t* targets, int batch, uint32_t pass) {
  Workspace& w = *workspace_;
  const auto rows = static_cast<size_t>(batch) * static_cast<size_t>(w.seq_len);
  config_.check_tokens({inputs, rows}, "inputs of a batch");
  config_.check_tokens({targets, rows}, "targets of a batch");
  w.batch = batch;
  w.host_batch.assign(inputs, inputs + rows);
  w.host_batch.insert(w.host_batch.end(), targets, targets + rows);
  w.host_batch.push_back(static_cast<int32_t>(pass));
  device_.copy_to_device(w.batch_memory.rows(0, 2 * w.rows() + 1), w.host_batch.data());
}

Tensor GPTModel::forward(Dropout dropout) {
  Workspace& w = *workspace_;
  dropout.pass = w.pass();
  const size_t L = layers_.size();
  ResidualNorm final_norm;
  if (config_.final_layernorm) {
    final_norm = {w.final_norm, w.final_mean, w.final_rstd, weights_.tensor("transformer.ln_f.weight"),
                  weights_.tensor("transformer.ln_f.bias")};
  }
  const auto norm_before = [&](size_t l) {
    return l < L ? layers_[l].input_norm(w.activations(l)) : final_norm;
  };

  const Tensor x = w.input(0);
  device_.embedding(x, w.tokens(), weights_.tensor("transformer.wte.weight"),
                    weights_.tensor("transformer.wpe.weight"), {});
  if (dropout.p > 0.0f) device_.add_dropout(x, {}, x, dropout);
  const ResidualNorm first = norm_before(0);
  device_.layernorm(first.y.rows(0, w.rows()), first.mean, first.rstd, x, first.weight, first.bias);
  for (size_t l = 0; l < L; ++l) {
    layers_[l].forward(w.input(l + 1), norm_before(l + 1), w.input(l), w.batch, w.seq_len, w.activations(l),
                       w.scratch, dropout);
  }
  return config_.final_layernorm ? w.final_norm.rows(0, w.rows()) : w.input(L);
}

Tensor GPTModel::head_loss(Tensor hidden, Parameters* grads, float scale) {
  Workspace& w = *workspace_;
  const int64_t rows = hidden.dim(0);
  for (int64_t first = 0; first < rows; first += w.head_rows) {
    const int64_t count = std::min(w.head_rows, rows - first);
    const Tensor part = hidden.rows(first, count), logits = w.logits.rows(0, count);
    const Tensor losses = w.losses.rows(first, count), wanted = w.targets().rows(first, count);
    head(logits, part);
    if (grads == nullptr) {
      device_.cross_entropy(losses, logits, wanted);
      continue;
    }
    device_.cross_entropy_with_gradient(losses, logits, wanted, scale / static_cast<float>(rows));
    device_.linear_backward(w.dhidden.rows(first, count), head_weight(*grads),
                            config_.head_bias ? grads->tensor("lm_head.bias") : Tensor(), logits, part,
                            head_weight(weights_), Op::kTranspose, Activation::kNone, {});
  }
  device_.sum(w.loss, w.losses.rows(0, rows));
  return w.loss;
}

void GPTModel::backward(Parameters& grads, Dropout dropout) {
  Workspace& w = *workspace_;
  dropout.pass = w.pass();
  const int64_t rows = w.rows();
  Tensor dx = w.dhidden.rows(0, rows);
  if (config_.final_layernorm) {
    dx = w.dx.rows(0, rows);
    device_.set_zero(dx);
    device_.layernorm_backward(dx, grads.tensor("transformer.ln_f.weight"),
                               grads.tensor("transformer.ln_f.bias"), w.dhidden.rows(0, rows),
                               w.input(layers_.size()), weights_.tensor("transformer.ln_f.weight"),
                               w.final_mean.rows(0, rows), w.final_rstd.rows(0, rows));
  }
  for (size_t l = layers_.size(); l-- > 0;) {
    layers_[l].backward(dx, w.input(l), w.batch, w.seq_len, w.activations(l), w.scratch,
                        LayerTensors(grads, static_cast<int>(l)), dropout);
  }
  if (dropout.p > 0.0f) device_.dropout_backward(dx, dx, dropout);
  device_.embedding_backward(grads.tensor("transformer.wte.weight"), grads.tensor("transformer.wpe.weight"),
                             dx, w.tokens());
}

Tensor GPTModel::compute_loss_and_gradients(Parameters& grads, float scale, const Dropout& dropout) {
  const Tensor total = head_loss(forward(dropout), &grads, scale);
  backward(grads, dropout);
  return total;
}

double GPTModel::loss(const int32_t* inputs, const int32_t* targets, int batch) {
  set_batch(inputs, targets, batch, 0);
  return mean(head_loss(forward({}), nullptr, 0.0f));
}

std::vector<float> GPTModel::token_losses(const int32_t* inputs, const int32_t* targets, int batch) {
  set_batch(inputs, targets, batch, 0);
  head_loss(forward({}), nullptr, 0.0f);
  std::vector<float> losses(static_cast<size_t>(workspace_->rows()));
  device_.copy_to_host(losses.data(), workspace_->losses.rows(0, workspace_->rows()));
  return losses;
}

double GPTModel::loss_and_gradients(const int32_t* inputs, const int32_t* targets, int batch,
                                    Parameters& grads, float scale, const Dropout& dropout, uint32_t pass) {
  set_batch(inputs, targets, batch, pass);
  return mean(compute_loss_and_gradients(grads, scale, dropout));
}

double GPTModel::mean(Tensor total_loss) const {
  float total = 0.0f;
  device_.copy_to_host(&total, total_loss);
  return static_cast<double>(total) / static_cast<double>(workspace_->rows());
}

std::vector<float> GPTModel::logits(const int32_t* inputs, int batch) {
  set_batch(inputs, inputs, batch, 0);  // the targets do not matter
  const Tensor hidden = forward({});
  const int64_t rows = hidden.dim(0), V = config_.vocab_size;
  std::vector<float> result(static_cast<size_t>(rows * V));
  for (int64_t first = 0; first < rows; first += workspace_->head_rows) {
    const int64_t count = std::min(workspace_->head_rows, rows - first);
    const Tensor part = workspace_->logits.rows(0, count);
    head(part, hidden.rows(first, count));
    device_.copy_to_host(result.data() + first * V, part);
  }
  return result;
}

GPTModel::Cache::Cache(Device& device, const ModelConfig& c, int64_t sequences)
    : sequences_(sequences), layers_(static_cast<size_t>(c.num_layers)) {
  const int64_t B = sequences, S = c.max_seq_len, E = c.embed_dim;
  constexpr int64_t kManyRows = 1024;  // enough for efficient matrix products
  rows_ = std::max({S, B, std::min(B * S, kManyRows)});

  MemoryPlan plan;
  for (LayerCache& layer : layers_) {
    plan.add(layer.keys, {B, S, E});
    plan.add(layer.values, {B, S, E});
  }
  plan_activations(plan, keep_, c, rows_);
  plan_scratch(plan, scratch_, c, rows_, false);
  plan.add(tokens_, {rows_}, DType::kI32);
  plan.add(past_, {1}, DType::kI32);
  plan.add(x_, {rows_, E});
  plan.add(y_, {rows_, E});
  plan.add(last_, {B, E});
  plan.add(mean_, {B});
  plan.add(rstd_, {B});
  plan.add(logits_, {B, c.vocab_size});
  memory_ = plan.allocate(device);
}

LayerCache GPTModel::Cache::layer(size_t l, int64_t first, int64_t count) const {
  return {layers_[l].keys.rows(first, count), layers_[l].values.rows(first, count)};
}

std::unique_ptr<GPTModel::Cache> GPTModel::make_cache(int sequences) const {
  return std::unique_ptr<Cache>(new Cache(device_, config_, sequences));
}

void GPTModel::check_room(int64_t past, int64_t count) const {
  if (count == 0 || past + count > config_.max_seq_len) {
    throw Error(
        fmt::format("{} tokens after {} do not fit a context of {}", count, past, config_.max_seq_len));
  }
}

void GPTModel::set_length(Cache& cache, int64_t length) const {
  const auto past = static_cast<int32_t>(length);
  device_.copy_to_device(cache.past_, &past);
  cache.length_ = length;
}

Tensor GPTModel::begin(Cache& cache, std::span<const int32_t> tokens) const {
  const auto length = static_cast<int64_t>(tokens.size()), S = int64_t{config_.max_seq_len};
  check_room(0, length);
  set_length(cache, 0);
  read(cache, 0, 1, tokens);
  for (int64_t b = 1; b < cache.sequences_; ++b) {
    for (const LayerCache& layer : cache.layers_) {
      for (const Tensor& all : {layer.keys, layer.values}) {
        const auto filled = [&](int64_t sequence) {
          return all.rows(sequence, 1).reshape({S, config_.embed_dim}).rows(0, length);
        };
        device_.copy(filled(b), filled(0));
      }
    }
    device_.copy(cache.logits_.rows(b, 1), cache.logits_.rows(0, 1));
  }
  set_length(cache, length);
  return cache.logits_;
}

Tensor GPTModel::extend(Cache& cache, std::span<const int32_t> tokens) const {
  const int64_t B = cache.sequences_, T = static_cast<int64_t>(tokens.size()) / B;
  check_room(cache.length_, T);
  set_length(cache, cache.length_);
  const int64_t at_once = std::max<int64_t>(1, cache.rows_ / T);
  for (int64_t first = 0; first < B; first += at_once) {
    const int64_t count = std::min(at_once, B - first);
    read(cache, first, count, tokens.subspan(first * T, count * T));
  }
  set_length(cache, cache.length_ + T);
  return cache.logits_;
}

Tensor GPTModel::append(Cache& cache, Tensor tokens) const {
  forward_cached(cache, 0, tokens);
  device_.increment(cache.past_);
  return cache.logits_;
}

void GPTModel::read(Cache& cache, int64_t first, int64_t count, std::span<const int32_t> tokens) const {
  config_.check_tokens(tokens, "tokens of a sequence");
  const auto size = static_cast<int64_t>(tokens.size());
  const Tensor ids = cache.tokens_.rows(0, size);
  device_.copy_to_device(ids, tokens.data());
  forward_cached(cache, first, ids.reshape({count, size / count}));
}

void GPTModel::forward_cached(Cache& cache, int64_t first, Tensor tokens) const {
  const int64_t count = tokens.dim(0), T = tokens.dim(1), rows = count * T;
  Tensor x = cache.x_.rows(0, rows), y = cache.y_.rows(0, rows);
  device_.embedding(x, tokens, weights_.tensor("transformer.wte.weight"),
                    weights_.tensor("transformer.wpe.weight"), cache.past_);
  // One set of activations serves all layers, and so one place for what they read.
  const auto norm_before = [&](size_t l) {
    return l < layers_.size() ? layers_[l].input_norm(cache.keep_) : ResidualNorm{};
  };
  const ResidualNorm first_norm = norm_before(0);
  device_.layernorm(first_norm.y.rows(0, rows), first_norm.mean, first_norm.rstd, x, first_norm.weight,
                    first_norm.bias);
  for (size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].forward_cached(y, norm_before(l + 1), x, cache.layer(l, first, count), cache.past_,
                              cache.keep_, cache.scratch_);
    std::swap(x, y);
  }

  Tensor last = x;
  if (T > 1) {
    last = cache.last_.rows(0, count);
    for (int64_t n = 0; n < count; ++n) device_.copy(last.rows(n, 1), x.rows((n + 1) * T - 1, 1));
  }
  if (config_.final_layernorm) {
    const Tensor normed = y.rows(0, count);
    device_.layernorm(normed, cache.mean_, cache.rstd_, last, weights_.tensor("transformer.ln_f.weight"),
                      weights_.tensor("transformer.ln_f.bias"));
    last = normed;
  }
  head(cache.logits_.rows(first, count), last);
}

}  // namespace hipgpt
