#include <fmt/format.h>

#include "cpu/cpu_device.h"
#include "device.h"
#include "device/hip_device_factory.h"
#include "error.h"

namespace hipgpt {

namespace {

/// `auto` takes a GPU, but not an imitation of one, which is for tests and slow.
bool has_gpu() {
  for (const DeviceInfo& info : list_hip_devices()) {
    if (!info.emulated) return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<Device> make_device(const std::string& name, int threads) {
  if (name == "hip" || (name == "auto" && has_gpu())) return make_hip_device();
  if (name == "cpu" || name == "auto") return std::make_unique<CpuDevice>(threads);
  throw Error(fmt::format("--device {}: must be auto, cpu or hip", name));
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices = list_hip_devices();
  if (devices.empty()) {
    try {
      make_hip_device();
    } catch (const Error& error) {
      devices.push_back({"hip", error.what(), false, false});
    }
  }
  devices.push_back({"cpu", CpuDevice(0).description() + ", fp32"});
  return devices;
}

}  // namespace hipgpt
