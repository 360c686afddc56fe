// The HIP kernels of HipGPT: a function for each operation of operations.h, which launches its kernels on a
// stream of a GPU. HipDevice is made of them; they are as good without it.
//
// Each returns at once; the work is done in the order of the stream. No function allocates, synchronises, or
// adds floating-point numbers in an order that could change from run to run. Error (error.h) for arguments
// that do not fit, and if a launch fails. Bytes, operations and tiles are at the head of each file in
// src/hip.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

#include "operands.h"

namespace hipgpt::hip {

/// Where kernels run: a stream of the GPU, and scratch memory that only work on this stream uses.
struct Stream {
  hipStream_t handle;
  float* scratch;
  int64_t scratch_floats;
  int compute_units;  ///< of the GPU: how many blocks it takes to keep it busy

  /// A second stream, for parts of an operation that do not need each other, and two events to fork and join;
  /// or none: then the parts follow each other.
  const Stream* side = nullptr;
  hipEvent_t forked = nullptr, joined = nullptr;

  /// Pinned memory of the host, in which kernels report ids and positions outside of their tables (src/hip/
  /// fault.h); or none: then they are passed over.
  int32_t* fault = nullptr;
};

/// Largest head size D that the attention kernels take.
constexpr int kMaxHeadSize = 256;

#define HIPGPT_OPERATION(name, parameters, arguments) void name(const Stream& stream, HIPGPT_LIST parameters);
#include "operations.h"

}  // namespace hipgpt::hip
