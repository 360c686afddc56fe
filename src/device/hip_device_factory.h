// The one door to the HIP device: what make_device() and list_devices() call. Every build has these two
// functions: from src/hip where there are kernels for a GPU (or an emulated one), from src/platform/none
// otherwise.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "device.h"
#include "error.h"

namespace hipgpt {

/// The build has no machine code for this GPU.
class NoKernelsForGpu : public Error {
 public:
  using Error::Error;
};

/// The GPU with this index of the runtime, or without one the first of list_hip_devices(). Error, with what a
/// user could do about it, where there is no such GPU; NoKernelsForGpu where its architecture was not built.
std::unique_ptr<Device> make_hip_device(std::optional<int> index);

/// The GPUs that make_hip_device() can choose from: discrete ones first, since the integrated one of a
/// processor is rarely meant. Each is tried. Empty where there is none.
std::vector<DeviceInfo> list_hip_devices();

}  // namespace hipgpt
