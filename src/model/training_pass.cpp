#include "training_pass.h"

#include <fmt/format.h>

#include <algorithm>

#include "error.h"
#include "model/host_values.h"
#include "model/layer_memory.h"
#include "util/number_text.h"
#include "util/parameter.h"

namespace hipgpt {

namespace {

/// As many rows of logits as fit the device's working set, but enough for efficient matrix products.
int64_t choose_head_rows(const Device& device, int64_t row_bytes, int64_t rows) {
  const int64_t fit = device.working_set() / row_bytes / 32 * 32;
  return std::min(rows, std::max<int64_t>(fit, 256));
}

}  // namespace

TrainingPass::TrainingPass(const GPTModel& model, int batch, int seq_len, Kind kind)
    : TrainingPass(model, batch, seq_len, kind, true) {}

size_t TrainingPass::bytes(const GPTModel& model, int batch, int seq_len, Kind kind) {
  return TrainingPass(model, batch, seq_len, kind, false).bytes_;
}

TrainingPass::TrainingPass(const GPTModel& model, int batch, int seq_len, Kind kind, bool allocate)
    : model_(model), device_(model.device()), kind_(kind), max_batch_(batch), seq_len_(seq_len) {
  const ModelConfig& c = model.config();
  if (batch < 1) throw Error(fmt::format("a batch of {} sequences: must be at least 1", batch));
  if (seq_len < 1 || seq_len > c.max_seq_len) {
    throw Error(fmt::format("sequences of {} do not fit a model with {} {}: must be from 1 to {}",
                            counted(seq_len, "token"), Parameter::kMaxSeqLen, c.max_seq_len, c.max_seq_len));
  }
  const int64_t rows = max_batch_ * seq_len_, E = c.embed_dim;
  const auto L = static_cast<size_t>(c.num_layers);
  const bool with_gradients = kind != kForwardOnly;
  const DType dtype = model.dtype();
  // In bf16, rows of logits have a pitch, so that each starts at a multiple of 128 bytes.
  const int64_t V = c.vocab_size, pitch = dtype == DType::kBF16 ? (V + 63) / 64 * 64 : V;
  head_rows_ = choose_head_rows(device_, static_cast<int64_t>(dtype_bytes(dtype, pitch)), rows);
  // Layers whose activations nothing reads later share the same memory.
  x_.resize(with_gradients ? L + 1 : 2);
  layers_.resize(kind == kWithGradients ? L : 1);

  MemoryPlan plan;
  plan.add(batch_memory_, {2 * rows + 1}, DType::kI32);
  for (Tensor& t : x_) plan.add(t, {rows, E}, dtype);
  for (LayerActivations& a : layers_) plan_activations(plan, a, c, rows, dtype);
  plan_scratch(plan, scratch_, c, rows, dtype, with_gradients);
  if (c.final_layernorm) {
    plan.add(final_y_, {rows, E}, dtype);
    plan.add(final_stats_.mean, {rows});
    plan.add(final_stats_.rstd, {rows});
  }
  plan.add(logits_, Tensor(nullptr, {head_rows_, V}, dtype).with_pitch(pitch));
  plan.add(losses_, {rows});
  plan.add(loss_, {1});
  if (with_gradients) {
    plan.add(dhidden_, {rows, E}, dtype);
    plan.add(dx_, {rows, E}, dtype);
  }
  bytes_ = plan.bytes();
  if (allocate) memory_ = plan.allocate(device_);
}

LayerActivations TrainingPass::activations(size_t layer) const {
  return layers_[kind_ == kWithGradients ? layer : 0].first(rows(), model_.config().num_heads);
}

Tensor TrainingPass::input(size_t layer) const {
  return x_[kind_ == kForwardOnly ? layer % 2 : layer].rows(0, rows());
}

ResidualNorm TrainingPass::final_norm() const {
  if (!model_.config().final_layernorm) return {};
  return {final_y_.rows(0, rows()),
          {final_stats_.mean.rows(0, rows()), final_stats_.rstd.rows(0, rows())},
          model_.operands().final_norm};
}

void TrainingPass::set_batch(std::span<const int32_t> inputs, std::span<const int32_t> targets,
                             uint32_t micro_step) {
  const auto size = static_cast<int64_t>(inputs.size());
  if (size == 0 || size % seq_len_ != 0 || size > max_batch_ * seq_len_ || targets.size() != inputs.size()) {
    throw Error(fmt::format(
        "a batch of {} inputs and {} targets: both must have the tokens of 1 to {} sequences of {}",
        inputs.size(), targets.size(), max_batch_, seq_len_));
  }
  model_.config().check_tokens(inputs, "inputs of a batch");
  model_.config().check_tokens(targets, "targets of a batch");
  batch_ = size / seq_len_;
  host_batch_.assign(inputs.begin(), inputs.end());
  host_batch_.insert(host_batch_.end(), targets.begin(), targets.end());
  host_batch_.push_back(static_cast<int32_t>(micro_step));
  device_.copy_to_device(batch_memory_.rows(0, 2 * size + 1), host_batch_.data());
}

Tensor TrainingPass::forward(Dropout dropout) {
  const GPTWeights& w = model_.operands();
  const std::vector<TransformerLayer>& layers = model_.layers();
  const LayerScratch scratch = scratch_.first(rows());
  dropout.micro_step = micro_step();
  const auto norm_before = [&](size_t l) {
    return l < layers.size() ? layers[l].input_norm(activations(l)) : final_norm();
  };

  const Tensor x = input(0);
  device_.embedding(x, tokens(), w.wte, w.wpe, {});
  if (dropout.p > 0.0f) device_.add_dropout(x, {}, x, dropout);
  const ResidualNorm first = norm_before(0);
  device_.layernorm(first.y, first.stats, x, first.norm);
  for (size_t l = 0; l < layers.size(); ++l) {
    layers[l].forward(input(l + 1), norm_before(l + 1), input(l), batch_, activations(l), scratch, dropout);
  }
  return model_.config().final_layernorm ? final_norm().y : input(layers.size());
}

Tensor TrainingPass::head_loss(Tensor hidden, GPTWeights* gradients, float scale, Tensor hidden_sums) {
  const Linear& head = model_.operands().head;
  const int64_t R = rows();
  for (int64_t first = 0; first < R; first += head_rows_) {
    const int64_t count = std::min(head_rows_, R - first);
    const Tensor part = hidden.rows(first, count), logits = logits_.rows(0, count);
    const Tensor losses = losses_.rows(first, count), wanted = targets().rows(first, count);
    device_.linear(logits, part, head, Activation::kNone, {});
    if (gradients == nullptr) {
      device_.cross_entropy(losses, logits, wanted);
      continue;
    }
    device_.cross_entropy_with_gradient(losses, logits, wanted, scale / static_cast<float>(R));
    device_.linear_backward(dhidden_.rows(first, count), gradients->head, logits, part, head, {},
                            hidden_sums);
  }
  device_.sum(loss_, losses_.rows(0, R));
  return loss_;
}

Tensor TrainingPass::last_bias(const GPTWeights& gradients, size_t l, const Dropout& dropout) {
  return l == 0 || dropout.p > 0.0f ? Tensor() : gradients.layers[l - 1].ff2.bias;
}

void TrainingPass::backward(GPTWeights& gradients, Dropout dropout, const GradientsReady& ready) {
  const GPTWeights& w = model_.operands();
  const std::vector<TransformerLayer>& layers = model_.layers();
  const LayerScratch scratch = scratch_.first(rows());
  dropout.micro_step = micro_step();
  // The gradients are those of the embeddings, of the layers, of an untied head, and of all vectors.
  const Tensor all = gradients.flat();
  const auto report = [&](int64_t first, int64_t end) {
    if (ready && first < end) ready(all.rows(first, end - first));
  };
  const int64_t head = gradients.layer_matrices(layers.size());
  report(head, gradients.decayed());
  Tensor dx = dhidden_.rows(0, rows());
  if (model_.config().final_layernorm) {
    dx = dx_.rows(0, rows());
    device_.set_zero(dx);
    device_.layernorm_backward(dx, gradients.final_norm, dhidden_.rows(0, rows()), input(layers.size()),
                               w.final_norm, final_norm().stats,
                               last_bias(gradients, layers.size(), dropout));
  }
  for (size_t l = layers.size(); l-- > 0;) {
    // The activations of the last layer are still there.
    if (kind_ == kRecomputing && l + 1 < layers.size())
      layers[l].recompute(input(l), batch_, activations(l), scratch, dropout);
    layers[l].backward(dx, input(l), batch_, activations(l), scratch, gradients.layers[l], dropout,
                       last_bias(gradients, l, dropout));
    report(gradients.layer_matrices(l), gradients.layer_matrices(l + 1));
  }
  if (dropout.p > 0.0f) device_.add_dropout(dx, {}, dx, dropout);
  device_.embedding_backward(gradients.wte, gradients.wpe, dx, tokens());
  report(0, gradients.layer_matrices(0));
  report(gradients.decayed(), all.size());
}

void TrainingPass::check_gradients(const GPTWeights& gradients) const {
  if (kind_ == kForwardOnly)
    throw Error("this TrainingPass is kForwardOnly and has no gradients: create it with kWithGradients");
  if (batch_ == 0) throw Error("TrainingPass has no batch yet: call set_batch() first");
  if (!gradients.flat() || !(gradients.config() == model_.config())) {
    throw Error("the gradients do not belong to this model: create them with its config");
  }
}

Tensor TrainingPass::compute_loss_and_gradients(GPTWeights& gradients, float scale, const Dropout& dropout,
                                                const GradientsReady& ready) {
  check_gradients(gradients);
  const Tensor hidden_sums =
      model_.config().final_layernorm ? Tensor() : last_bias(gradients, model_.layers().size(), dropout);
  const Tensor total = head_loss(forward(dropout), &gradients, scale, hidden_sums);
  backward(gradients, dropout, ready);
  return total;
}

double TrainingPass::loss(std::span<const int32_t> inputs, std::span<const int32_t> targets) {
  set_batch(inputs, targets, 0);
  return mean(head_loss(forward({}), nullptr, 0.0f, {}));
}

std::vector<float> TrainingPass::token_losses(std::span<const int32_t> inputs,
                                              std::span<const int32_t> targets) {
  set_batch(inputs, targets, 0);
  head_loss(forward({}), nullptr, 0.0f, {});
  std::vector<float> losses(inputs.size());
  device_.copy_to_host(losses.data(), losses_.rows(0, rows()));
  return losses;
}

double TrainingPass::loss_and_gradients(std::span<const int32_t> inputs, std::span<const int32_t> targets,
                                        GPTWeights& gradients, float scale, const Dropout& dropout,
                                        uint32_t micro_step) {
  set_batch(inputs, targets, micro_step);
  return mean(compute_loss_and_gradients(gradients, scale, dropout));
}

double TrainingPass::mean(Tensor total_loss) const {
  float total = 0.0f;
  device_.copy_to_host(&total, total_loss);
  return static_cast<double>(total) / static_cast<double>(rows());
}

std::vector<float> TrainingPass::logits(std::span<const int32_t> inputs) {
  set_batch(inputs, inputs, 0);  // the targets do not matter
  const Tensor hidden = forward({});
  const int64_t R = rows(), V = model_.config().vocab_size;
  std::vector<float> result(static_cast<size_t>(R * V));
  for (int64_t first = 0; first < R; first += head_rows_) {
    const int64_t count = std::min(head_rows_, R - first);
    const Tensor part = logits_.rows(0, count);
    device_.linear(part, hidden.rows(first, count), model_.operands().head, Activation::kNone, {});
    copy_rows_to_host(result.data() + first * V, device_, part);
  }
  return result;
}

}  // namespace hipgpt
