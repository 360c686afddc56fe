// The operands of operations (operations.h) other than plain tensors. Arguments that belong together form one
// struct, and a gradient has the same type as its variable.
#pragma once

#include <cstdint>

#include "tensor.h"

namespace hipgpt {

/// kGelu is GPT-2's GELU, which approximates the error function by tanh; kGeluErf is the exact one.
enum class Activation : uint8_t { kNone, kRelu, kGelu, kGeluErf };

/// How the weight of a Linear is stored. GPT-2 stores the weights of layers as [in,out], and the weight of
/// the head, which may be the token embedding, as [out,in].
enum class Layout : uint8_t { kInOut, kOutIn };

/// y = x W + b, or its gradient.
struct Linear {
  Tensor weight;  ///< [in,out] or [out,in]
  Tensor bias;    ///< [out], or none
  Layout layout = Layout::kInOut;
};

/// The parameters of a LayerNorm, or their gradients.
struct Norm {
  Tensor weight, bias;  ///< [E]
};

/// The row statistics of a LayerNorm, saved for its backward pass.
struct NormStats {
  Tensor mean, rstd;  ///< [R]
};

/// Inverted dropout (Srivastava et al., JMLR 2014): element i is kept with probability 1-p and then scaled by
/// 1/(1-p). Whether it is kept is a pure function of (seed, micro_step, site, i), computed with Philox, so
/// the backward pass can recompute the mask instead of storing it.
struct Dropout {
  float p = 0.0f;          ///< probability of zeroing an element, in [0, 1)
  uint64_t seed = 0;       ///< seed of the run
  Tensor micro_step = {};  ///< int32 [1] on the device, counts forward passes; may be none if p is 0
  uint32_t site = 0;       ///< index of this dropout in the model
};

/// The settings of AdamW (Loshchilov & Hutter, ICLR 2019) that stay the same from step to step.
struct AdamW {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.0f;
  float max_grad_norm = 0.0f;  ///< 0: gradients are not clipped
  int64_t decayed = 0;         ///< the first `decayed` parameters have weight decay
};

/// How a token is drawn from its logits.
struct Sampling {
  int top_k = 5;             ///< only the k likeliest tokens; 0: all
  double top_p = 1.0;        ///< only the likeliest tokens that together reach this probability
  double temperature = 1.0;  ///< divides the logits; 0: always the likeliest token
  double repetition_penalty =
      1.0;  ///< a logit of a token seen before is divided by it if positive, else multiplied
  uint64_t seed = 0;
};

}  // namespace hipgpt
