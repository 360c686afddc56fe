// Faults: ids and positions outside their tables. They are in GPU memory, so only kernels can check them. A
// kernel skips the affected work and writes the fault's number to pinned host memory. The next
// HipDevice::copy_to_host(), which waits for the GPU anyway, throws the Error.
#pragma once

#include <cstdint>

#include "hip/kernel.h"

namespace hipgpt::hip {

enum class Fault : int32_t {
  kNone,
  kEmbedding,
  kEmbeddingBackward,
  kAttentionCached,
  kCrossEntropy,
  kCrossEntropyWithGradient
};

/// What a kernel reports, and where: to Stream::fault, or nowhere if that is null.
struct FaultReport {
  int32_t* place;
  Fault fault;

  __device__ void operator()() const {
    if (place != nullptr) *place = static_cast<int32_t>(fault);
  }
};

}  // namespace hipgpt::hip
