// Attention in bf16, for attention.cpp and attention_backward.cpp.
#pragma once

#include "hip/attention_tile.h"
#include "hip/dropout_mask.h"

namespace hipgpt::hip {

/// The operands of a backward pass. dQ, dK and dV have the layout of Q, K and V.
template <typename T>
struct BackwardWork {
  T* dqkv;
  const T *dout, *qkv, *out;
  const float* lse;
  int sequence_heads, seq_len, heads, head_size;
  float scale;
  bool aligned;
};

void attend(const Stream& stream, const AttentionWork<bf16>& work, const DropoutMask& mask);
void attend_backward(const Stream& stream, const BackwardWork<bf16>& work, const DropoutMask& mask);

}  // namespace hipgpt::hip
