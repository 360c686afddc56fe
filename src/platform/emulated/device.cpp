// The host side: the device itself, and errors.
#include <cstdio>
#include <utility>

#include "platform/emulated/emulator.h"
#include "platform/emulated/runtime.h"

namespace hipgpt::emulated {

namespace {

thread_local hipError_t last_error = hipSuccess;

}  // namespace

hipError_t finish(hipError_t error) {
  if (error != hipSuccess) last_error = error;
  return error;
}

}  // namespace hipgpt::emulated

using namespace hipgpt::emulated;

hipError_t hipRuntimeGetVersion(int* version) {
  if (version == nullptr) return finish(hipErrorInvalidValue);
  *version = 60000000;  // HIP 6.0, the release that this emulates
  return hipSuccess;
}

hipError_t hipDriverGetVersion(int* version) {
  return hipRuntimeGetVersion(version);
}

hipError_t hipGetDeviceCount(int* count) {
  if (count == nullptr) return finish(hipErrorInvalidValue);
  *count = 1;
  return hipSuccess;
}

hipError_t hipGetDevice(int* device) {
  if (device == nullptr) return finish(hipErrorInvalidValue);
  *device = 0;
  return hipSuccess;
}

hipError_t hipSetDevice(int device) {
  return finish(device == 0 ? hipSuccess : hipErrorInvalidDevice);
}

hipError_t hipGetDeviceProperties(hipDeviceProp_t* properties, int device) {
  if (properties == nullptr) return finish(hipErrorInvalidValue);
  if (device != 0) return finish(hipErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "HIP emulated on the CPU, wave %d",
                HIPGPT_WAVE_SIZE);
  std::snprintf(properties->gcnArchName, sizeof properties->gcnArchName, "emulated");
  properties->warpSize = HIPGPT_WAVE_SIZE;
  properties->totalGlobalMem = physical_memory();
  properties->sharedMemPerBlock = kMaxSharedBytes;
  // Not this machine's number of cores, so that results that depend on it are the same on every machine.
  properties->multiProcessorCount = 8;
  properties->integrated = 0;
  properties->maxThreadsPerBlock = kMaxBlockThreads;
  properties->major = 1;
  properties->clockRate = 1'000'000;
  properties->memoryClockRate = 1'000'000;
  properties->memoryBusWidth = 64;
  return hipSuccess;
}

hipError_t hipDeviceSynchronize() {
  return finish(check_no_capture(false));
}

// ---- Errors -----------------------------------------------------------------------------------------------

hipError_t hipGetLastError() {
  return std::exchange(last_error, hipSuccess);
}

hipError_t hipPeekAtLastError() {
  return last_error;
}

const char* hipGetErrorName(hipError_t error) {
#define HIPGPT_NAME(error) \
  case error: return #error
  switch (error) {
    HIPGPT_NAME(hipSuccess);
    HIPGPT_NAME(hipErrorInvalidValue);
    HIPGPT_NAME(hipErrorOutOfMemory);
    HIPGPT_NAME(hipErrorInvalidConfiguration);
    HIPGPT_NAME(hipErrorInvalidDevicePointer);
    HIPGPT_NAME(hipErrorInsufficientDriver);
    HIPGPT_NAME(hipErrorInvalidDeviceFunction);
    HIPGPT_NAME(hipErrorNoDevice);
    HIPGPT_NAME(hipErrorInvalidDevice);
    HIPGPT_NAME(hipErrorNoBinaryForGpu);
    HIPGPT_NAME(hipErrorInvalidHandle);
    HIPGPT_NAME(hipErrorNotReady);
    HIPGPT_NAME(hipErrorIllegalAddress);
    HIPGPT_NAME(hipErrorLaunchFailure);
    HIPGPT_NAME(hipErrorStreamCaptureUnsupported);
    HIPGPT_NAME(hipErrorStreamCaptureInvalidated);
    HIPGPT_NAME(hipErrorStreamCaptureMerge);
    HIPGPT_NAME(hipErrorStreamCaptureUnmatched);
    HIPGPT_NAME(hipErrorStreamCaptureUnjoined);
    HIPGPT_NAME(hipErrorStreamCaptureImplicit);
    HIPGPT_NAME(hipErrorCapturedEvent);
    HIPGPT_NAME(hipErrorStreamCaptureWrongThread);
    HIPGPT_NAME(hipErrorUnknown);
  }
#undef HIPGPT_NAME
  return "hipErrorUnknown";
}

const char* hipGetErrorString(hipError_t error) {
  switch (error) {
    case hipSuccess: return "no error";
    case hipErrorInvalidValue: return "invalid argument";
    case hipErrorOutOfMemory: return "out of memory";
    case hipErrorInvalidConfiguration: return "invalid configuration argument";
    case hipErrorInvalidDevicePointer: return "invalid device pointer";
    case hipErrorInsufficientDriver: return "driver version is insufficient for runtime version";
    case hipErrorInvalidDeviceFunction: return "invalid device function";
    case hipErrorNoDevice: return "no HIP-capable device is detected";
    case hipErrorInvalidDevice: return "invalid device ordinal";
    case hipErrorNoBinaryForGpu: return "no kernel image is available for execution on the device";
    case hipErrorInvalidHandle: return "invalid resource handle";
    case hipErrorNotReady: return "device not ready";
    case hipErrorIllegalAddress: return "an illegal memory access was encountered";
    case hipErrorLaunchFailure: return "unspecified launch failure";
    case hipErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case hipErrorStreamCaptureInvalidated: return "operation failed due to a previous error during capture";
    case hipErrorStreamCaptureMerge: return "operation would result in a merge of separate capture sequences";
    case hipErrorStreamCaptureUnmatched: return "capture was not ended in the same stream as it began";
    case hipErrorStreamCaptureUnjoined: return "capturing stream has unjoined work";
    case hipErrorStreamCaptureImplicit: return "dependency created on uncaptured work in another stream";
    case hipErrorCapturedEvent:
      return "operation not permitted on an event last recorded in a capturing stream";
    case hipErrorStreamCaptureWrongThread:
      return "attempt to terminate a thread-local capture sequence from another thread";
    case hipErrorUnknown: return "unknown error";
  }
  return "unknown error";
}
