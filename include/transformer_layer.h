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
  Tensor residual_mid;  // [R,E], x after the attention branch
  Tensor ln2;           // [R,E]
  NormStats ln2_stats;  // [R]
  Tensor ff_pre, ff;    // [R,F], before and after the activation

  /// The first rows of every tensor.
  LayerActivations first(int64_t rows, int heads) const;
};

/// Memory that every layer may use during a pass and that no layer keeps.
struct LayerScratch {
  Tensor branch;        // [R,E]
  Tensor dbranch, dln;  // [R,E]; these and the following for the backward pass
  Tensor dqkv;          // [R,3E]
  Tensor dff;           // [R,F]

  LayerScratch first(int64_t rows) const;
};

/// A LayerNorm of the residual stream, and where its result goes. None (`!norm.y`) where the stream is read
/// as it is.
struct ResidualNorm {
  Tensor y;         // [R,E]
  NormStats stats;  // [R]
  Norm norm;        // [E]
};

/// Keys and values of one layer for the tokens that B sequences have so far, each [B,S,E].
struct LayerCache {
  Tensor keys, values;
};

class TransformerLayer {
 public:
  /// Layer `index` of a model, on its weights, whose memory must outlive it.
  TransformerLayer(Device& device, const ModelConfig& config, const LayerWeights& weights, int index);

  /// The LayerNorm through which this layer reads the residual stream. Who makes the stream also applies it,
  /// since an addition and a LayerNorm in one pass read and write less memory than two.
  ResidualNorm input_norm(const LayerActivations& saved) const;

  /// y = layer(x), and y's LayerNorm `next`, for `batch` sequences of equal length; x, y [R,E]. input_norm()
  /// has been applied to x. `saved` is filled for backward().
  void forward(Tensor y, const ResidualNorm& next, Tensor x, int64_t batch, const LayerActivations& saved,
               const LayerScratch& scratch, const Dropout& dropout) const;

  /// dx [R,E] holds dL/dy and is turned into dL/dx in place; the gradients of the weights are added to
  /// `gradients`.
  void backward(Tensor dx, Tensor x, int64_t batch, const LayerActivations& saved,
                const LayerScratch& scratch, const LayerWeights& gradients, const Dropout& dropout) const;

  /// The same as forward() for T new tokens of each of the cache's sequences, x and y [B*T,E], that follow
  /// `past` (int32 [1]) tokens in it.
  void forward_cached(Tensor y, const ResidualNorm& next, Tensor x, const LayerCache& cache, Tensor past,
                      const LayerActivations& saved, const LayerScratch& scratch) const;

 private:
  enum DropoutSite { kProbabilities, kAttentionBranch, kFeedForwardBranch };

  /// qkv = QKV(LN1 x).
  void before_attention(const LayerActivations& saved) const;

  /// residual_mid = x + dropout(O(attention)),  y = residual_mid + dropout(FF2(act(FF1(LN2 residual_mid)))).
  void after_attention(Tensor y, const ResidualNorm& next, Tensor x, const LayerActivations& saved,
                       const LayerScratch& scratch, const Dropout& dropout) const;

  /// sum = x + dropout(branch), and `next` of it, if there is one.
  void add_branch(Tensor sum, const ResidualNorm& next, Tensor x, Tensor branch,
                  const Dropout& dropout) const;

  /// The gradient of the branch that was added to the residual stream: dy through the dropout's mask.
  Tensor branch_gradient(Tensor dy, const LayerScratch& scratch, const Dropout& dropout) const;

  Dropout site(Dropout dropout, DropoutSite which) const;

  Device& device_;
  int heads_;
  int index_;
  Activation activation_;
  LayerWeights weights_;
};

}  // namespace hipgpt
