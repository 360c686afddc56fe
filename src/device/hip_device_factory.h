// The one door to the HIP device: what make_device() and list_devices() call. Every build has these two
// functions: from src/hip where there are kernels for a GPU (or an emulated one), from src/platform/none
// otherwise.
#pragma once

#include <memory>
#include <vector>

#include "device.h"

namespace hipgpt {

/// The first GPU. Error, with what a user could do about it, where there is none or no kernels for it.
std::unique_ptr<Device> make_hip_device();

/// The GPUs that make_hip_device() can choose from; empty where there is none.
std::vector<DeviceInfo> list_hip_devices();

}  // namespace hipgpt
