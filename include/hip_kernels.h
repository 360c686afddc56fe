// The HIP kernels of HipGPT. Each operation in operations.h has a function that launches its kernels on a
// stream of a GPU. HipDevice is built from these functions, but they also work without it.
//
// Each function returns at once; its work runs in stream order. No function allocates, synchronises, or adds
// floating-point numbers in an order that could change from run to run. A function throws Error (error.h) if
// its arguments do not fit or a launch fails. The head of each file in src/hip lists bytes, operations and
// tiles.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

#include "operands.h"

namespace hipgpt::hip {

/// Where kernels run: a stream of the GPU, and scratch memory reserved for work on this stream.
struct Stream {
  hipStream_t handle;
  float* scratch;
  int64_t scratch_floats;
  int compute_units;  ///< of the GPU; determines how many blocks keep it busy

  bool matrix_cores = true;  ///< false for a GPU of AMD without matrix cores for bf16
  bool wgmma = false;        ///< whether the GPU is NVIDIA's Hopper, whose matrix cores read shared memory

  /// A second stream for the independent parts of an operation, and two events to fork and join. Without it,
  /// the parts run one after the other.
  const Stream* side = nullptr;
  hipEvent_t forked = nullptr, joined = nullptr;

  /// Pinned host memory in which kernels report ids and positions outside their tables (src/hip/fault.h). If
  /// null, kernels skip such rows without a report.
  int32_t* fault = nullptr;
};

/// The largest head size D that the attention kernels support.
constexpr int kMaxHeadSize = 256;

#define HIPGPT_OPERATION(name, parameters, arguments) void name(const Stream& stream, HIPGPT_LIST parameters);
#include "operations.h"

}  // namespace hipgpt::hip
