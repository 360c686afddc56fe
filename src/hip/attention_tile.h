// What the attention kernels share: the layout of their tiles in shared memory, and the limit on head sizes.
//
// The threads of a product form rows of 8. Thread (ty, tx), tx < 8, holds a few rows of the result, usually
// 4 ty ... 4 ty+3, and of each row the vec4 tx, tx+8, ... (mma/plain.h). In A B^T the lanes read rows
// 0, 4, 8, ... at once, so the layout moves every fourth row to other banks.
#pragma once

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

}  // namespace hipgpt::hip
