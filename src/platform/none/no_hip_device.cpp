// The HIP device of a build without kernels: an Error that says why.
#include <fmt/format.h>

#include "device/hip_device_factory.h"
#include "util/parameter.h"

namespace hipgpt {

// HIPGPT_NO_HIP_REASON comes from scripts/cmake/hip.cmake, which decided this.
std::unique_ptr<Device> make_hip_device(std::optional<int>) {
  throw Error(fmt::format(
      "{} hip: this build has no HIP kernels ({}); cmake -DHIPGPT_HIP_PLATFORM=amd or nvidia compiles "
      "them",
      Parameter::kDevice, HIPGPT_NO_HIP_REASON));
}

std::vector<DeviceInfo> list_hip_devices() {
  return {};
}

}  // namespace hipgpt
