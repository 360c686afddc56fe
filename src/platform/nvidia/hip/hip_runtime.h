// The HIP runtime on NVIDIA GPUs: HIP's names for the parts of the CUDA runtime that HipGPT uses.
//
// The sources in src/hip include <hip/hip_runtime.h>. ROCm and the emulated platform have a file of that
// name; this is the one for NVIDIA. The two runtimes have the same functions with the same arguments, so most
// of this file is a list of names. Where they differ, it defines a function. nvcc compiles the kernels with
// this file; the host compiler compiles code that only calls the runtime.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdio>

#define HIPGPT_WAVE_SIZE 32

// ---- Errors --------------------------------------------------------------------------------------------

#define hipError_t cudaError_t
#define hipSuccess cudaSuccess
#define hipErrorInvalidValue cudaErrorInvalidValue
#define hipErrorOutOfMemory cudaErrorMemoryAllocation
#define hipErrorNoDevice cudaErrorNoDevice
#define hipErrorInvalidDevice cudaErrorInvalidDevice
#define hipErrorInvalidDeviceFunction cudaErrorInvalidDeviceFunction
#define hipErrorNoBinaryForGpu cudaErrorNoKernelImageForDevice
#define hipErrorNotReady cudaErrorNotReady
#define hipErrorInvalidConfiguration cudaErrorInvalidConfiguration
#define hipErrorInsufficientDriver cudaErrorInsufficientDriver
#define hipErrorStreamCaptureUnsupported cudaErrorStreamCaptureUnsupported
#define hipErrorIllegalAddress cudaErrorIllegalAddress
#define hipErrorLaunchFailure cudaErrorLaunchFailure
#define hipErrorUnknown cudaErrorUnknown

#define hipGetLastError cudaGetLastError
#define hipPeekAtLastError cudaPeekAtLastError
#define hipGetErrorName cudaGetErrorName
#define hipGetErrorString cudaGetErrorString

// ---- Devices -------------------------------------------------------------------------------------------

#define hipGetDeviceCount cudaGetDeviceCount
#define hipGetDevice cudaGetDevice
#define hipSetDevice cudaSetDevice
#define hipDeviceSynchronize cudaDeviceSynchronize
#define hipRuntimeGetVersion cudaRuntimeGetVersion
#define hipDriverGetVersion cudaDriverGetVersion

/// HIP's properties of a GPU: CUDA's, plus the architecture as text and the clocks, which CUDA 13 removed
/// from its struct.
struct hipDeviceProp_t : cudaDeviceProp {
  char gcnArchName[16];  ///< "sm_90"
  int clockRate;         ///< kHz
  int memoryClockRate;   ///< kHz
};

inline hipError_t hipGetDeviceProperties(hipDeviceProp_t* properties, int device) {
  hipError_t error = cudaGetDeviceProperties(properties, device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&properties->clockRate, cudaDevAttrClockRate, device);
  if (error == cudaSuccess)
    error = cudaDeviceGetAttribute(&properties->memoryClockRate, cudaDevAttrMemoryClockRate, device);
  if (error == cudaSuccess)
    std::snprintf(properties->gcnArchName, sizeof properties->gcnArchName, "sm_%d%d", properties->major,
                  properties->minor);
  return error;
}

// ---- Memory --------------------------------------------------------------------------------------------

#define hipMalloc cudaMalloc
#define hipFree cudaFree
#define hipHostFree cudaFreeHost
#define hipHostMallocDefault cudaHostAllocDefault
#define hipMemGetInfo cudaMemGetInfo
#define hipMemcpy cudaMemcpy
#define hipMemcpyAsync cudaMemcpyAsync
#define hipMemcpyKind cudaMemcpyKind
#define hipMemcpyHostToHost cudaMemcpyHostToHost
#define hipMemcpyHostToDevice cudaMemcpyHostToDevice
#define hipMemcpyDeviceToHost cudaMemcpyDeviceToHost
#define hipMemcpyDeviceToDevice cudaMemcpyDeviceToDevice
#define hipMemcpyDefault cudaMemcpyDefault
#define hipMemset cudaMemset
#define hipMemsetAsync cudaMemsetAsync

template <typename T>
inline hipError_t hipHostMalloc(T** memory, size_t bytes, unsigned flags = hipHostMallocDefault) {
  void* allocated = nullptr;
  const hipError_t error = cudaHostAlloc(&allocated, bytes, flags);
  *memory = static_cast<T*>(allocated);
  return error;
}

// ---- Streams and events --------------------------------------------------------------------------------

#define hipStream_t cudaStream_t
#define hipStreamDefault cudaStreamDefault
#define hipStreamNonBlocking cudaStreamNonBlocking
#define hipStreamCreate cudaStreamCreate
#define hipStreamCreateWithFlags cudaStreamCreateWithFlags
#define hipStreamDestroy cudaStreamDestroy
#define hipStreamSynchronize cudaStreamSynchronize
#define hipStreamWaitEvent cudaStreamWaitEvent
#define hipStreamQuery cudaStreamQuery

#define hipEvent_t cudaEvent_t
#define hipEventDefault cudaEventDefault
#define hipEventDisableTiming cudaEventDisableTiming
#define hipEventCreate cudaEventCreate
#define hipEventCreateWithFlags cudaEventCreateWithFlags
#define hipEventDestroy cudaEventDestroy
#define hipEventRecord cudaEventRecord
#define hipEventSynchronize cudaEventSynchronize
#define hipEventQuery cudaEventQuery
#define hipEventElapsedTime cudaEventElapsedTime

// ---- Graphs --------------------------------------------------------------------------------------------

#define hipGraph_t cudaGraph_t
#define hipGraphExec_t cudaGraphExec_t
#define hipGraphNode_t cudaGraphNode_t
#define hipStreamCaptureMode cudaStreamCaptureMode
#define hipStreamCaptureModeGlobal cudaStreamCaptureModeGlobal
#define hipStreamCaptureModeThreadLocal cudaStreamCaptureModeThreadLocal
#define hipStreamCaptureModeRelaxed cudaStreamCaptureModeRelaxed
#define hipStreamBeginCapture cudaStreamBeginCapture
#define hipStreamEndCapture cudaStreamEndCapture
#define hipGraphLaunch cudaGraphLaunch
#define hipGraphDestroy cudaGraphDestroy
#define hipGraphExecDestroy cudaGraphExecDestroy
#define hipGraphGetNodes cudaGraphGetNodes

/// Takes HIP's five arguments, which CUDA 12 reduced to three. The log stays empty.
inline hipError_t hipGraphInstantiate(hipGraphExec_t* executable, hipGraph_t graph, hipGraphNode_t*,
                                      char* log, size_t log_size) {
  if (log != nullptr && log_size > 0) *log = '\0';
  return cudaGraphInstantiate(executable, graph, 0);
}

#define hipFuncSetAttribute cudaFuncSetAttribute
#define hipFuncAttributeMaxDynamicSharedMemorySize cudaFuncAttributeMaxDynamicSharedMemorySize

// ---- Kernels -------------------------------------------------------------------------------------------

#define HIP_KERNEL_NAME(...) __VA_ARGS__

#ifdef __CUDACC__

#define hipLaunchKernelGGL(kernel, grid, block, shared_bytes, stream, ...) \
  kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)

// All lanes of the wave participate.
#define __shfl(...) __shfl_sync(~0u, __VA_ARGS__)
#define __shfl_up(...) __shfl_up_sync(~0u, __VA_ARGS__)
#define __shfl_down(...) __shfl_down_sync(~0u, __VA_ARGS__)
#define __shfl_xor(...) __shfl_xor_sync(~0u, __VA_ARGS__)
#define __ballot(predicate) static_cast<unsigned long long>(__ballot_sync(~0u, predicate))
#define __any(predicate) __any_sync(~0u, predicate)
#define __all(predicate) __all_sync(~0u, predicate)

#endif
