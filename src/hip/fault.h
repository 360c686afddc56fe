// Faults: what kernels find wrong with values in the GPU's memory, ids and positions, which no check on the
// host sees. A kernel skips the work at fault and writes its number into pinned memory of the host;
// HipDevice::copy_to_host(), which waits anyway, throws the Error.
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

/// Where a kernel reports, and what: Stream::fault, or null where nobody listens.
struct FaultReport {
  int32_t* place;
  Fault fault;

  __device__ void operator()() const {
    if (place != nullptr) *place = static_cast<int32_t>(fault);
  }
};

}  // namespace hipgpt::hip
