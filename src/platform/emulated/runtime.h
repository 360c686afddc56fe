// What the files of the host side (device.cpp, memory.cpp, stream.cpp) share.
#pragma once

#include <functional>
#include <string>

#include "platform/emulated/hip/hip_runtime_api.h"

namespace hipgpt::emulated {

/// Every call of the API ends with it: hipGetLastError() gives the error again.
hipError_t finish(hipError_t error);

/// Does the work now, or records it if the stream is being captured.
hipError_t enqueue(hipStream_t stream, std::function<void()> work);

/// For calls that wait for the GPU or allocate: with a capture under way they fail, and the capture is lost.
/// `relaxed_allows`: hipStreamCaptureModeRelaxed permits the call.
hipError_t check_no_capture(bool relaxed_allows);

/// Ends the process if something was written just before or behind a buffer of device memory. After each
/// kernel; under AddressSanitizer, which notices at once, it does nothing.
void check_device_memory(const std::string& kernel);

/// What device memory there is.
size_t physical_memory();

}  // namespace hipgpt::emulated
