// The HIP device of a build without kernels. It throws an Error that says why there are none.
#include <fmt/format.h>

#include "device/hip_device_factory.h"
#include "util/parameter.h"

namespace hipgpt {

// scripts/cmake/hip.cmake defines HIPGPT_NO_HIP_REASON when it selects this file.
std::unique_ptr<Device> make_hip_device(std::optional<int>) {
  throw Error(
      fmt::format("{} hip: this build has no HIP kernels ({}); rebuild with cmake "
                  "-DHIPGPT_HIP_PLATFORM=amd or nvidia",
                  Parameter::kDevice, HIPGPT_NO_HIP_REASON));
}

std::vector<DeviceInfo> list_hip_devices() {
  return {};
}

}  // namespace hipgpt
