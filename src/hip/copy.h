// Copies of a few bytes to the host's memory by a kernel, which writes them sooner than a copy engine starts: a token
// that was drawn, a loss. On an H200, the copy of a token by the engine takes 8 us.
#pragma once

#include "hip_kernels.h"

namespace hipgpt::hip {

/// pinned[i] = words[i], for i in [0, count).   `pinned` is host memory that the GPU can write.
void copy_to_pinned(const Stream& stream, int32_t* pinned, const int32_t* words, int count);

}  // namespace hipgpt::hip
