// What the attention kernels share: the layout of their tiles in shared memory, and the limit on head sizes.
//
// The threads of a product form rows of 8. Thread (ty, tx), tx < 8, holds a few rows of the result, usually
// 4 ty ... 4 ty+3, and of each row the vec4 tx, tx+8, ... (mma/plain.h). In A B^T the lanes read rows
// 0, 4, 8, ... at once, so the layout moves every fourth row to other banks.
#pragma once

#include <cmath>
#include <string>
#include <type_traits>

#include "error.h"
#include "hip/mma/plain.h"
#include "hip/tuning.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

template <int kRows, int kColumns>
using AttentionTile = Tile<kRows, kColumns, std::conditional_t<kSwizzledTiles, Swizzled<2>, Padded<2, 1>>>;

inline void check_head_size(int head_size) {
  if (head_size >= 1 && head_size <= kMaxHeadSize) return;
  throw Error("attention: the GPU kernels support head sizes from 1 to " + std::to_string(kMaxHeadSize) +
              ", not " + std::to_string(head_size));
}

/// The operands of a forward pass. Queries, keys and values are parts of wider rows.
template <typename T>
struct AttentionWork {
  T* out;
  float* lse = nullptr;  ///< may be null
  const T *queries = nullptr, *keys = nullptr, *values = nullptr;
  int query_stride, key_stride = 0;  ///< elements between rows
  const int32_t* past = nullptr;     ///< keys before the first query; 0 if null
  int sequence_heads, seq_len, heads, head_size;
  int key_rows = 0;  ///< rows between the keys of one sequence and the next
  float scale;
  bool aligned = false;          ///< as defined in vec.h
  bool on_matrix_cores = false;  ///< see choose_kernels in attention_bf16.h

  /// The work whose result is out [B,T,E]. The queries are part of rows [3E].
  AttentionWork(const Tensor& result, int heads)
      : out(elements<T>(result)),
        query_stride(3 * static_cast<int>(result.dim(2))),
        sequence_heads(static_cast<int>(result.dim(0)) * heads),
        seq_len(static_cast<int>(result.dim(1))),
        heads(heads),
        head_size(static_cast<int>(result.dim(2)) / heads),
        scale(1.0f / std::sqrt(static_cast<float>(head_size))) {
    check_head_size(head_size);
  }
};

/// The rows of one head, and the number of keys before its first query.
template <typename T>
struct AttentionHead {
  Rows<const T> q, k, v;
  Rows<T> out;
  int past;

  __device__ AttentionHead(const AttentionWork<T>& w, int bh) : past(w.past == nullptr ? 0 : *w.past) {
    if (past < 0 || past > w.key_rows - w.seq_len) past = 0;  // append_kernel has reported it
    const int width = w.heads * w.head_size, column = bh % w.heads * w.head_size, d = w.head_size;
    const int64_t row = static_cast<int64_t>(bh / w.heads) * w.seq_len;
    const int64_t key_offset = static_cast<int64_t>(bh / w.heads) * w.key_rows * w.key_stride + column;
    q = {w.queries + row * w.query_stride + column, w.query_stride, w.seq_len, d, w.aligned};
    k = {w.keys + key_offset, w.key_stride, past + w.seq_len, d, w.aligned};
    v = {w.values + key_offset, w.key_stride, past + w.seq_len, d, w.aligned};
    out = {w.out + row * width + column, width, w.seq_len, d, w.aligned};
  }
};

}  // namespace hipgpt::hip
