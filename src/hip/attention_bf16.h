// What the files of attention's kernels share: the choice among them.
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
  bool aligned = false, on_matrix_cores = false;  ///< see choose_kernels
  float* dqkv_sums = nullptr;                     ///< if given, the sums of dqkv's columns are added to it
};

/// The rows of one head.
template <typename T>
struct BackwardHead {
  Rows<const T> q, k, v, out, dout;
  Rows<T> dq, dk, dv;
  const float* lse;
  uint32_t first_dropout_row;

  __device__ BackwardHead(const BackwardWork<T>& w, int bh) {
    const int width = w.heads * w.head_size, column = bh % w.heads * w.head_size;
    const int64_t row = static_cast<int64_t>(bh / w.heads) * w.seq_len;
    const int64_t wide = row * 3 * width + column, narrow = row * width + column;
    q = {w.qkv + wide, 3 * width, w.seq_len, w.head_size, w.aligned};
    k = {q.data + width, q.stride, q.rows, q.width, q.aligned};
    v = {k.data + width, q.stride, q.rows, q.width, q.aligned};
    out = {w.out + narrow, width, q.rows, q.width, q.aligned};
    dout = {w.dout + narrow, width, q.rows, q.width, q.aligned};
    dq = {w.dqkv + wide, q.stride, q.rows, q.width, q.aligned};
    dk = {dq.data + width, q.stride, q.rows, q.width, q.aligned};
    dv = {dk.data + width, q.stride, q.rows, q.width, q.aligned};
    lse = w.lse + static_cast<int64_t>(bh) * w.seq_len;
    first_dropout_row = static_cast<uint32_t>(bh) * w.seq_len;
  }
};

/// Whether heads of up to 128 need kernels without matrix cores for T. In bf16, NVIDIA's do not, nor does the
/// emulated platform; of AMD's GPUs, some have no matrix cores, and on the others, rows must be aligned.
template <typename T>
constexpr bool kAttentionByLanes = kForAmd || !std::is_same_v<T, bf16>;

/// Chooses the kernels for work whose rows are aligned for accesses of n elements if aligned(n): matrix cores
/// with accesses of 16 bytes, or lanes with accesses of four elements.
template <typename Work, typename Aligned>
void choose_kernels(Work& work, const Stream& stream, const Aligned& aligned) {
  constexpr bool kIsBf16 = std::is_same_v<std::remove_cv_t<std::remove_pointer_t<decltype(work.out)>>, bf16>;
  const bool whole = aligned(kVecBytes / 2);
  work.on_matrix_cores = kIsBf16 && work.head_size <= 128 && stream.matrix_cores && (whole || !kForAmd);
  work.aligned = work.on_matrix_cores ? whole : aligned(4);
}

/// Attention by the kernels that suit the work.
template <typename T>
void attend(const Stream& stream, const AttentionWork<T>& work, const DropoutMask& mask);

void attend_on_matrix_cores(const Stream& stream, const AttentionWork<bf16>& work, const DropoutMask& mask);
void attend_backward_on_matrix_cores(const Stream& stream, const BackwardWork<bf16>& work,
                                     const DropoutMask& mask);

}  // namespace hipgpt::hip
