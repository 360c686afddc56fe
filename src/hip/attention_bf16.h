// Attention in bf16, for attention.cpp and attention_backward.cpp.
#pragma once

#include <type_traits>

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

/// Whether this platform has attention kernels on matrix cores for T: NVIDIA, and the emulated one for tests.
#if defined(__HIP_PLATFORM_AMD__)
template <typename T>
constexpr bool kAttentionOnMatrixCores = false;
#else
template <typename T>
constexpr bool kAttentionOnMatrixCores = std::is_same_v<T, bf16>;
#endif

constexpr int kLargestHeadOnMatrixCores = 128;

/// The elements in an access of the kernels that take this head: 16 bytes on matrix cores, four elsewhere.
template <typename T>
int pack_of(int head_size) {
  return kAttentionOnMatrixCores<T> && head_size <= kLargestHeadOnMatrixCores ? kVecSize<T> : 4;
}

void attend_on_matrix_cores(const Stream& stream, const AttentionWork<bf16>& work, const DropoutMask& mask);
void attend_backward_on_matrix_cores(const Stream& stream, const BackwardWork<bf16>& work,
                                     const DropoutMask& mask);

}  // namespace hipgpt::hip
