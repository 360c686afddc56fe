// TransformerLayer: one pre-LayerNorm block of GPT-2.
//
//     x += O(attention(LN1 x))
//     x += FF2(act(FF1(LN2 x)))
#pragma once

#include "device.h"
#include "gpt_weights.h"
#include "model_config.h"

namespace hipgpt {

/// What the forward pass of one layer saves for its backward pass, for R = B*T rows.
struct LayerActivations {
  Tensor ln1;           // [R,E]
  NormStats ln1_stats;  // [R]
  Tensor qkv;           // [R,3E]
  Tensor attention;     // [R,E]
  Tensor lse;           // [R*H], as [B,H,T]
  Tensor residual_mid;  // [R,E], x plus the attention branch
  Tensor ln2;           // [R,E]
  NormStats ln2_stats;  // [R]
  Tensor ff, ff_slope;  // [R,F], act(z) and act'(z) of the feed-forward branch

  /// The first rows of every tensor.
  LayerActivations first(int64_t rows, int heads) const;
};

/// Scratch memory that all layers share during a pass.
struct LayerScratch {
  Tensor branch;        // [R,E]
  Tensor dbranch, dln;  // [R,E]; this and the following are for the backward pass
  Tensor dqkv;          // [R,3E]
  Tensor dff;           // [R,F]

  LayerScratch first(int64_t rows) const;
};

/// A LayerNorm of the residual stream and the tensors for its result. It is none (`!norm.y`) where the stream
/// is read without a LayerNorm.
struct ResidualNorm {
  Tensor y;         // [R,E]
  NormStats stats;  // [R]
  Norm norm;        // [E]
};

/// The keys and values of one layer for the tokens of B sequences so far, each [B,S,E].
struct LayerCache {
  Tensor keys, values;
};

class TransformerLayer {
 public:
  /// Creates layer `index` of a model. The memory of `weights` must outlive it.
  TransformerLayer(Device& device, const ModelConfig& config, const LayerWeights& weights, int index);

  /// The LayerNorm through which this layer reads the residual stream. The code that computes the stream also
  /// applies it, because a fused addition and LayerNorm access less memory than two operations.
  ResidualNorm input_norm(const LayerActivations& saved) const;

  /// Computes y = layer(x) and the LayerNorm `next` of y, for `batch` sequences of equal length; x, y [R,E].
  /// The caller has applied input_norm() to x. Fills `saved` for backward().
  void forward(Tensor y, const ResidualNorm& next, Tensor x, int64_t batch, const LayerActivations& saved,
               const LayerScratch& scratch, const Dropout& dropout) const;

  /// Fills `saved` for backward() again, with the bits of forward(), for a caller that saved x alone. Applies
  /// input_norm() itself.
  void recompute(Tensor x, int64_t batch, const LayerActivations& saved, const LayerScratch& scratch,
                 const Dropout& dropout) const;

  /// Turns dx [R,E] from dL/dy into dL/dx in place and adds the gradients of the weights to `gradients`, but for
  /// that of the last bias: sum_rows dL/dy, unless there is dropout. So it adds sum_rows dL/dx to `dx_sums`, if
  /// given, for the layer below.
  void backward(Tensor dx, Tensor x, int64_t batch, const LayerActivations& saved,
                const LayerScratch& scratch, const LayerWeights& gradients, const Dropout& dropout,
                Tensor dx_sums) const;

  /// Like forward(), for T new tokens of each sequence in the cache, which already holds `past` (int32 [1])
  /// tokens per sequence; x and y are [B*T,E].
  void forward_cached(Tensor y, const ResidualNorm& next, Tensor x, const LayerCache& cache, Tensor past,
                      const LayerActivations& saved, const LayerScratch& scratch) const;

  /// The same for one new token of each sequence, in five operations, for a model that has_folded_norms(): y =
  /// layer(x). The caller applies no LayerNorm. Fills only a part of `saved`.
  void decode(Tensor y, Tensor x, const LayerCache& cache, Tensor past, const LayerActivations& saved) const;

 private:
  enum DropoutSite { kProbabilities, kAttentionBranch, kFeedForwardBranch };

  /// qkv = QKV(LN1 x),  attention = attn(qkv).
  void attend(int64_t batch, const LayerActivations& saved, const Dropout& dropout) const;

  /// residual_mid = x + dropout(O(attention)),  ff = act(FF1(LN2 residual_mid)).
  void after_attention(Tensor x, const LayerActivations& saved, const LayerScratch& scratch,
                       const Dropout& dropout) const;

  /// y = residual_mid + dropout(FF2(ff)).
  void add_feed_forward(Tensor y, const ResidualNorm& next, const LayerActivations& saved,
                        const LayerScratch& scratch, const Dropout& dropout) const;

  /// Computes sum = x + dropout(branch) and, unless it is none, the LayerNorm `next` of the sum.
  void add_branch(Tensor sum, const ResidualNorm& next, Tensor x, Tensor branch,
                  const Dropout& dropout) const;

  /// The gradient of a branch that was added to the residual stream: dy through the dropout mask.
  Tensor branch_gradient(Tensor dy, const LayerScratch& scratch, const Dropout& dropout) const;

  Dropout site(Dropout dropout, DropoutSite which) const;

  Device& device_;
  int heads_;
  int index_;
  Activation activation_;
  LayerWeights weights_;
};

}  // namespace hipgpt
