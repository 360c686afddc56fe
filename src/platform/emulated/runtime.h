// Functions shared by the files of the host side (device.cpp, memory.cpp, stream.cpp).
#pragma once

#include <functional>
#include <string>

#include "platform/emulated/hip/hip_runtime_api.h"

namespace hipgpt::emulated {

/// Every API call returns through this function. It records an error for hipGetLastError().
hipError_t finish(hipError_t error);

/// Runs the work now, or records it if the stream is capturing.
hipError_t enqueue(hipStream_t stream, std::function<void()> work);

/// For calls that wait for the GPU or allocate. During a capture, they fail and invalidate the capture.
/// `relaxed_allows` means that hipStreamCaptureModeRelaxed permits the call.
hipError_t check_no_capture(bool relaxed_allows);

/// Aborts the process if a kernel wrote just before or after a buffer in device memory. Called after each
/// kernel. Does nothing under AddressSanitizer, which detects such writes at once.
void check_device_memory(const std::string& kernel);

/// The size of device memory in bytes.
size_t physical_memory();

}  // namespace hipgpt::emulated
