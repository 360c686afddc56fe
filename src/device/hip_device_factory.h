// The only entry to the HIP device, called by make_device() and list_devices(). Every build has these two
// functions: from src/hip if it has kernels for a GPU (or an emulated one), else from src/platform/none.
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

/// There may be a GPU, but the user has no permission to use it.
class NoAccessToGpu : public Error {
 public:
  using Error::Error;
};

/// The GPU with this index in the runtime or, without an index, the first of list_hip_devices(). Throws
/// Error, with advice for the user, if there is no such GPU, NoAccessToGpu if that may be for lack of
/// permission, and NoKernelsForGpu if this build has no kernels for its architecture.
std::unique_ptr<Device> make_hip_device(std::optional<int> index);

/// The GPUs that the runtime sees, all of them `usable`: only make_hip_device() finds out whether there are
/// kernels for one. Discrete GPUs come first, because users rarely mean the integrated GPU of a processor.
/// The list is empty if there is no GPU.
std::vector<DeviceInfo> list_hip_devices();

}  // namespace hipgpt
