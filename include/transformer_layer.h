// TransformerLayer: one pre-LayerNorm block of GPT-2.
//
//     x += O(attention(LN1 x))
//     x += FF2(act(FF1(LN2 x)))
#pragma once

#include <string>

#include "device.h"
#include "model_config.h"
#include "parameters.h"

namespace hipgpt {

/// The twelve tensors of a layer: its weights, or their gradients.
struct LayerTensors {
  Tensor ln1_weight, ln1_bias;  // [E]
  Tensor qkv_weight, qkv_bias;  // [E,3E], [3E]
  Tensor out_weight, out_bias;  // [E,E], [E]
  Tensor ln2_weight, ln2_bias;  // [E]
  Tensor ff1_weight, ff1_bias;  // [E,F], [F]
  Tensor ff2_weight, ff2_bias;  // [F,E], [E]

  LayerTensors(const Parameters& parameters, int layer);
};

/// What the forward pass of one layer keeps for its backward pass, for up to R = B*T rows.
struct LayerActivations {
  Tensor ln1, ln1_mean, ln1_rstd;  // [R,E], [R], [R]
  Tensor qkv;                      // [R,3E]
  Tensor attention, lse;           // [R,E], [B*H*T]
  Tensor middle;                   // [R,E], x after the attention branch
  Tensor ln2, ln2_mean, ln2_rstd;  // [R,E], [R], [R]
  Tensor ff_pre, ff;               // [R,F] before and after the activation
};

/// Memory that every layer may use during a pass and that no layer keeps.
struct LayerScratch {
  Tensor branch;          // [R,E]
  Tensor dbranch, dnorm;  // [R,E]
  Tensor dqkv;            // [R,3E]
  Tensor dff;             // [R,F]
};

/// A LayerNorm of the residual stream: its weights, and where its result goes. None (`!norm.y`) where the
/// stream is read as it is.
struct ResidualNorm {
  Tensor y, mean, rstd;  // [R,E], [R], [R]
  Tensor weight, bias;   // [E]
};

/// Keys and values of one layer for the tokens that B sequences have so far, each [B,S,E].
struct LayerCache {
  Tensor keys, values;
};

/// sum = x + dropout(branch), and `norm` of it, if there is one.
void add_branch(Device& device, Tensor sum, const ResidualNorm& norm, Tensor x, Tensor branch,
                const Dropout& dropout);

class TransformerLayer {
 public:
  TransformerLayer(Device& device, const ModelConfig& config, const Parameters& weights, int index);

  /// The LayerNorm through which this layer reads the residual stream. Whoever makes the stream also applies
  /// it, since an addition and a LayerNorm in one pass read and write less memory than two.
  ResidualNorm input_norm(const LayerActivations& keep) const;

  /// y = layer(x), and y's LayerNorm `next`, for B sequences of T tokens; x, y [B*T,E]. input_norm() has been
  /// applied to x. `keep` is filled for backward().
  void forward(Tensor y, const ResidualNorm& next, Tensor x, int batch, int seq_len,
               const LayerActivations& keep, const LayerScratch& scratch, const Dropout& dropout) const;

  /// dx [B*T,E] holds dL/dy and is turned into dL/dx in place; the gradients of the weights are added to
  /// `grads`.
  void backward(Tensor dx, Tensor x, int batch, int seq_len, const LayerActivations& keep,
                const LayerScratch& scratch, const LayerTensors& grads, const Dropout& dropout) const;

  /// The same as forward() for T new tokens of each of the cache's sequences, x and y [B*T,E], that follow
  /// `past` (int32 [1]) tokens in it.
  void forward_cached(Tensor y, const ResidualNorm& next, Tensor x, const LayerCache& cache, Tensor past,
                      const LayerActivations& keep, const LayerScratch& scratch) const;

 private:
  enum DropoutSite { kProbabilities, kAttentionBranch, kFeedForwardBranch };

  /// qkv = QKV(LN1 x).
  void before_attention(const LayerActivations& keep) const;

  /// middle = x + dropout(O(attention)),  y = middle + dropout(FF2(act(FF1(LN2 middle)))).
  void after_attention(Tensor y, const ResidualNorm& next, Tensor x, const LayerActivations& keep,
                       const LayerScratch& scratch, const Dropout& dropout) const;

  /// The gradient of the branch that was added to the residual stream: dy through the dropout's mask.
  Tensor branch_gradient(Tensor dy, const LayerScratch& scratch, const Dropout& dropout) const;

  Dropout site(Dropout dropout, DropoutSite which) const;

  Device& device_;
  int heads_;
  int index_;
  Activation activation_;
  LayerTensors weights_;
};

}  // namespace hipgpt
