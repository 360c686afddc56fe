#include "transformer_layer.h"

#include <fmt/format.h>

namespace hipgpt {

namespace {

using Op = Device::Op;

/// The first `rows` rows of every tensor of a plan that was made for more.
LayerActivations first_rows(const LayerActivations& a, int64_t rows) {
  LayerActivations r = a;
  for (Tensor* t : {&r.ln1, &r.ln1_mean, &r.ln1_rstd, &r.qkv, &r.attention, &r.middle, &r.ln2, &r.ln2_mean,
                    &r.ln2_rstd, &r.ff_pre, &r.ff}) {
    *t = t->rows(0, rows);
  }
  return r;
}

LayerScratch first_rows(const LayerScratch& s, int64_t rows) {
  LayerScratch r = s;
  for (Tensor* t : {&r.branch, &r.dbranch, &r.dnorm, &r.dqkv, &r.dff}) {
    if (*t) *t = t->rows(0, rows);
  }
  return r;
}

}  // namespace

LayerTensors::LayerTensors(const Parameters& parameters, int layer) {
  const auto get = [&](const char* name) {
    return parameters.tensor(fmt::format("transformer.h.{}.{}", layer, name));
  };
  ln1_weight = get("ln_1.weight");
  ln1_bias = get("ln_1.bias");
  qkv_weight = get("attn.c_attn.weight");
  qkv_bias = get("attn.c_attn.bias");
  out_weight = get("attn.c_proj.weight");
  out_bias = get("attn.c_proj.bias");
  ln2_weight = get("ln_2.weight");
  ln2_bias = get("ln_2.bias");
  ff1_weight = get("mlp.c_fc.weight");
  ff1_bias = get("mlp.c_fc.bias");
  ff2_weight = get("mlp.c_proj.weight");
  ff2_bias = get("mlp.c_proj.bias");
}

TransformerLayer::TransformerLayer(Device& device, const ModelConfig& config, const Parameters& weights,
                                   int index)
    : device_(device),
      heads_(config.num_heads),
      index_(index),
      activation_(config.activation),
      weights_(weights, index) {}

void add_branch(Device& device, Tensor sum, const ResidualNorm& norm, Tensor x, Tensor branch,
                const Dropout& dropout) {
  if (!norm.y) return device.add_dropout(sum, x, branch, dropout);
  const int64_t rows = sum.dim(0);
  device.residual_layernorm(sum, norm.y.rows(0, rows), norm.mean, norm.rstd, x, branch, dropout, norm.weight,
                            norm.bias);
}

ResidualNorm TransformerLayer::input_norm(const LayerActivations& keep) const {
  return {keep.ln1, keep.ln1_mean, keep.ln1_rstd, weights_.ln1_weight, weights_.ln1_bias};
}

void TransformerLayer::forward(Tensor y, const ResidualNorm& next, Tensor x, int batch, int seq_len,
                               const LayerActivations& plan, const LayerScratch& plan_scratch,
                               const Dropout& dropout) const {
  const int64_t B = batch, T = seq_len, E = x.dim(1);
  const LayerActivations keep = first_rows(plan, B * T);
  const LayerScratch scratch = first_rows(plan_scratch, B * T);
  before_attention(keep);
  device_.attention(keep.attention.reshape({B, T, E}), keep.lse, keep.qkv.reshape({B, T, 3 * E}), heads_,
                    site(dropout, kProbabilities));
  after_attention(y, next, x, keep, scratch, dropout);
}

void TransformerLayer::forward_cached(Tensor y, const ResidualNorm& next, Tensor x, const LayerCache& cache,
                                      Tensor past, const LayerActivations& plan,
                                      const LayerScratch& plan_scratch) const {
  const int64_t B = cache.keys.dim(0), T = x.dim(0) / B, E = x.dim(1);
  const LayerActivations keep = first_rows(plan, B * T);
  const LayerScratch scratch = first_rows(plan_scratch, B * T);
  before_attention(keep);
  device_.attention_cached(keep.attention.reshape({B, T, E}), cache.keys, cache.values,
                           keep.qkv.reshape({B, T, 3 * E}), heads_, past);
  after_attention(y, next, x, keep, scratch, Dropout{});
}

void TransformerLayer::before_attention(const LayerActivations& keep) const {
  const LayerTensors& w = weights_;
  device_.linear(keep.qkv, keep.ln1, w.qkv_weight, Op::kNone, w.qkv_bias, Activation::kNone, {});
}

void TransformerLayer::after_attention(Tensor y, const ResidualNorm& next, Tensor x,
                                       const LayerActivations& keep, const LayerScratch& scratch,
                                       const Dropout& dropout) const {
  const LayerTensors& w = weights_;
  device_.linear(scratch.branch, keep.attention, w.out_weight, Op::kNone, w.out_bias, Activation::kNone, {});
  add_branch(device_, keep.middle, {keep.ln2, keep.ln2_mean, keep.ln2_rstd, w.ln2_weight, w.ln2_bias}, x,
             scratch.branch, site(dropout, kAttentionBranch));

  device_.linear(keep.ff, keep.ln2, w.ff1_weight, Op::kNone, w.ff1_bias, activation_, keep.ff_pre);
  device_.linear(scratch.branch, keep.ff, w.ff2_weight, Op::kNone, w.ff2_bias, Activation::kNone, {});
  add_branch(device_, y, next, keep.middle, scratch.branch, site(dropout, kFeedForwardBranch));
}

void TransformerLayer::backward(Tensor dx, Tensor x, int batch, int seq_len, const LayerActivations& plan,
                                const LayerScratch& plan_scratch, const LayerTensors& grads,
                                const Dropout& dropout) const {
  const int64_t B = batch, T = seq_len, E = x.dim(1);
  const LayerActivations keep = first_rows(plan, B * T);
  const LayerScratch scratch = first_rows(plan_scratch, B * T);
  const LayerTensors& w = weights_;

  // Feed-forward branch. dx is dL/dy, and stays on the residual stream as dL/dmiddle.
  Tensor dbranch = branch_gradient(dx, scratch, site(dropout, kFeedForwardBranch));
  device_.linear_backward(scratch.dff, grads.ff2_weight, grads.ff2_bias, dbranch, keep.ff, w.ff2_weight,
                          Op::kNone, activation_, keep.ff_pre);
  device_.linear_backward(scratch.dnorm, grads.ff1_weight, grads.ff1_bias, scratch.dff, keep.ln2,
                          w.ff1_weight, Op::kNone, Activation::kNone, {});
  device_.layernorm_backward(dx, grads.ln2_weight, grads.ln2_bias, scratch.dnorm, keep.middle, w.ln2_weight,
                             keep.ln2_mean, keep.ln2_rstd);

  // Attention branch. dx is dL/dmiddle, and becomes dL/dx.
  dbranch = branch_gradient(dx, scratch, site(dropout, kAttentionBranch));
  device_.linear_backward(scratch.dnorm, grads.out_weight, grads.out_bias, dbranch, keep.attention,
                          w.out_weight, Op::kNone, Activation::kNone, {});
  device_.attention_backward(scratch.dqkv.reshape({B, T, 3 * E}), scratch.dnorm.reshape({B, T, E}),
                             keep.qkv.reshape({B, T, 3 * E}), keep.attention.reshape({B, T, E}), keep.lse,
                             heads_, site(dropout, kProbabilities));
  device_.linear_backward(scratch.dnorm, grads.qkv_weight, grads.qkv_bias, scratch.dqkv, keep.ln1,
                          w.qkv_weight, Op::kNone, Activation::kNone, {});
  device_.layernorm_backward(dx, grads.ln1_weight, grads.ln1_bias, scratch.dnorm, x, w.ln1_weight,
                             keep.ln1_mean, keep.ln1_rstd);
}

Tensor TransformerLayer::branch_gradient(Tensor dy, const LayerScratch& scratch,
                                         const Dropout& dropout) const {
  if (dropout.p == 0.0f) return dy;
  device_.dropout_backward(scratch.dbranch, dy, dropout);
  return scratch.dbranch;
}

Dropout TransformerLayer::site(Dropout dropout, DropoutSite which) const {
  dropout.site = 1 + static_cast<uint32_t>(3 * index_ + which);  // site 0 is the embedding's
  return dropout;
}

}  // namespace hipgpt
