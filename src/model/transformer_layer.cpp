#include "transformer_layer.h"

namespace hipgpt {

LayerActivations LayerActivations::first(int64_t rows, int heads) const {
  LayerActivations a = *this;
  for (Tensor* t : {&a.ln1, &a.ln1_stats.mean, &a.ln1_stats.rstd, &a.qkv, &a.attention, &a.residual_mid,
                    &a.ln2, &a.ln2_stats.mean, &a.ln2_stats.rstd, &a.ff, &a.ff_slope}) {
    *t = t->rows(0, rows);
  }
  a.lse = a.lse.rows(0, rows * heads);
  return a;
}

LayerScratch LayerScratch::first(int64_t rows) const {
  LayerScratch s = *this;
  for (Tensor* t : {&s.branch, &s.dbranch, &s.dln, &s.dqkv, &s.dff}) {
    if (*t) *t = t->rows(0, rows);
  }
  return s;
}

TransformerLayer::TransformerLayer(Device& device, const ModelConfig& config, const LayerWeights& weights,
                                   int index)
    : device_(device),
      heads_(config.num_heads),
      index_(index),
      activation_(config.activation),
      weights_(weights) {}

ResidualNorm TransformerLayer::input_norm(const LayerActivations& saved) const {
  return {saved.ln1, saved.ln1_stats, weights_.ln1};
}

void TransformerLayer::forward(Tensor y, const ResidualNorm& next, Tensor x, int64_t batch,
                               const LayerActivations& saved, const LayerScratch& scratch,
                               const Dropout& dropout) const {
  attend(batch, saved, dropout);
  after_attention(x, saved, scratch, dropout);
  add_feed_forward(y, next, saved, scratch, dropout);
}

void TransformerLayer::forward_cached(Tensor y, const ResidualNorm& next, Tensor x, const LayerCache& cache,
                                      Tensor past, const LayerActivations& saved,
                                      const LayerScratch& scratch) const {
  const int64_t B = cache.keys.dim(0), T = x.dim(0) / B, E = x.dim(1);
  device_.linear(saved.qkv, saved.ln1, weights_.qkv, Activation::kNone, {});
  device_.attention_cached(saved.attention.reshape({B, T, E}), cache.keys, cache.values,
                           saved.qkv.reshape({B, T, 3 * E}), heads_, past);
  after_attention(x, saved, scratch, Dropout{});
  add_feed_forward(y, next, saved, scratch, Dropout{});
}

void TransformerLayer::decode(Tensor y, Tensor x, const LayerCache& cache, Tensor past,
                              const LayerActivations& saved) const {
  const int64_t B = x.dim(0), E = x.dim(1);
  const LayerWeights& w = weights_;
  device_.fused_linear(saved.qkv, {}, x, true, w.qkv, Activation::kNone);
  device_.attention_cached(saved.attention.reshape({B, 1, E}), cache.keys, cache.values,
                           saved.qkv.reshape({B, 1, 3 * E}), heads_, past);
  device_.fused_linear(saved.residual_mid, x, saved.attention, false, w.out, Activation::kNone);
  device_.fused_linear(saved.ff, {}, saved.residual_mid, true, w.ff1, activation_);
  device_.fused_linear(y, saved.residual_mid, saved.ff, false, w.ff2, Activation::kNone);
}

void TransformerLayer::recompute(Tensor x, int64_t batch, const LayerActivations& saved,
                                 const LayerScratch& scratch, const Dropout& dropout) const {
  const ResidualNorm first = input_norm(saved);
  device_.layernorm(first.y, first.stats, x, first.norm);
  attend(batch, saved, dropout);
  after_attention(x, saved, scratch, dropout);
}

void TransformerLayer::attend(int64_t batch, const LayerActivations& saved, const Dropout& dropout) const {
  const int64_t B = batch, T = saved.ln1.dim(0) / B, E = saved.ln1.dim(1);
  device_.linear(saved.qkv, saved.ln1, weights_.qkv, Activation::kNone, {});
  device_.attention(saved.attention.reshape({B, T, E}), saved.lse.reshape({B, heads_, T}),
                    saved.qkv.reshape({B, T, 3 * E}), heads_, site(dropout, kProbabilities));
}

void TransformerLayer::after_attention(Tensor x, const LayerActivations& saved, const LayerScratch& scratch,
                                       const Dropout& dropout) const {
  const LayerWeights& w = weights_;
  device_.linear(scratch.branch, saved.attention, w.out, Activation::kNone, {});
  add_branch(saved.residual_mid, {saved.ln2, saved.ln2_stats, w.ln2}, x, scratch.branch,
             site(dropout, kAttentionBranch));
  device_.linear(saved.ff, saved.ln2, w.ff1, activation_, saved.ff_slope);
}

void TransformerLayer::add_feed_forward(Tensor y, const ResidualNorm& next, const LayerActivations& saved,
                                        const LayerScratch& scratch, const Dropout& dropout) const {
  device_.linear(scratch.branch, saved.ff, weights_.ff2, Activation::kNone, {});
  add_branch(y, next, saved.residual_mid, scratch.branch, site(dropout, kFeedForwardBranch));
}

void TransformerLayer::add_branch(Tensor sum, const ResidualNorm& next, Tensor x, Tensor branch,
                                  const Dropout& dropout) const {
  if (!next.y) return device_.add_dropout(sum, x, branch, dropout);
  device_.residual_layernorm(sum, next.y, next.stats, x, branch, dropout, next.norm);
}

void TransformerLayer::backward(Tensor dx, Tensor x, int64_t batch, const LayerActivations& saved,
                                const LayerScratch& scratch, const LayerWeights& gradients,
                                const Dropout& dropout, Tensor dx_sums) const {
  const int64_t B = batch, T = x.dim(0) / B, E = x.dim(1);
  const LayerWeights& w = weights_;
  // The gradient of a bias is summed where the gradient of its result is computed. The two results that are added to
  // the residual stream have its gradient, unless dropout lies between.
  const bool summed = dropout.p == 0.0f;
  const auto without_bias = [](const Linear& g) { return Linear{g.weight, {}, g.layout}; };
  const auto of_branch = [&](const Linear& g) { return summed ? without_bias(g) : g; };

  // Feed-forward branch: dx is dL/dy and becomes dL/d(residual_mid).
  Tensor dbranch = branch_gradient(dx, scratch, site(dropout, kFeedForwardBranch));
  device_.linear_backward(scratch.dff, of_branch(gradients.ff2), dbranch, saved.ff, w.ff2, saved.ff_slope,
                          gradients.ff1.bias);
  device_.linear_backward(scratch.dln, without_bias(gradients.ff1), scratch.dff, saved.ln2, w.ff1, {}, {});
  device_.layernorm_backward(dx, gradients.ln2, scratch.dln, saved.residual_mid, w.ln2, saved.ln2_stats,
                             summed ? gradients.out.bias : Tensor());

  // Attention branch: dx is dL/d(residual_mid) and becomes dL/dx.
  dbranch = branch_gradient(dx, scratch, site(dropout, kAttentionBranch));
  device_.linear_backward(scratch.dln, of_branch(gradients.out), dbranch, saved.attention, w.out, {}, {});
  device_.attention_backward(scratch.dqkv.reshape({B, T, 3 * E}), scratch.dln.reshape({B, T, E}),
                             saved.qkv.reshape({B, T, 3 * E}), saved.attention.reshape({B, T, E}),
                             saved.lse.reshape({B, heads_, T}), heads_, site(dropout, kProbabilities),
                             gradients.qkv.bias);
  device_.linear_backward(scratch.dln, without_bias(gradients.qkv), scratch.dqkv, saved.ln1, w.qkv, {}, {});
  device_.layernorm_backward(dx, gradients.ln1, scratch.dln, x, w.ln1, saved.ln1_stats, dx_sums);
}

Tensor TransformerLayer::branch_gradient(Tensor dy, const LayerScratch& scratch,
                                         const Dropout& dropout) const {
  if (dropout.p == 0.0f) return dy;
  device_.add_dropout(scratch.dbranch, {}, dy,
                      dropout);  // the mask is the same linear map forward and backward
  return scratch.dbranch;
}

Dropout TransformerLayer::site(Dropout dropout, DropoutSite which) const {
  dropout.site = 1 + static_cast<uint32_t>(3 * index_ + which);  // site 0 is the embedding's
  return dropout;
}

}  // namespace hipgpt
