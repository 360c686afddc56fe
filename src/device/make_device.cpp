#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "cpu/cpu_device.h"
#include "device.h"
#include "device/hip_device_factory.h"
#include "error.h"
#include "util/parameter.h"

namespace hipgpt {

namespace {

/// N of "hip:N".
int index_in(const std::string& name) {
  const std::string_view digits = std::string_view(name).substr(std::string_view("hip:").size());
  int index = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc{} || end != digits.data() + digits.size() || index < 0) {
    throw Error(
        fmt::format("{} {}: must be hip:N with the number of a GPU, as in hip:0", Parameter::kDevice, name));
  }
  return index;
}

/// A GPU for `auto`, or null if there is none that this build has kernels for. Skips emulated GPUs, which are
/// slow and for tests.
std::unique_ptr<Device> find_gpu(const std::function<void(const std::string&)>& warn) {
  std::string why;
  const std::vector<DeviceInfo> gpus = list_hip_devices();
  if (gpus.empty()) {
    try {
      return make_hip_device(std::nullopt);
    } catch (const NoAccessToGpu& error) {
      why = error.what();
    } catch (const Error&) {  // there is no GPU
    }
  }
  for (const DeviceInfo& info : gpus) {
    if (info.emulated) continue;
    try {
      return make_hip_device(index_in(info.name));
    } catch (const NoKernelsForGpu& error) {
      if (why.empty()) why = error.what();
    }
  }
  if (!why.empty() && warn) warn(fmt::format("using the CPU: {}", why));
  return nullptr;
}

}  // namespace

std::unique_ptr<Device> make_device(const std::string& name, int threads,
                                    const std::function<void(const std::string&)>& warn) {
  if (name == "hip") return make_hip_device(std::nullopt);
  if (name.starts_with("hip:")) return make_hip_device(index_in(name));
  if (name == "auto") {
    if (auto gpu = find_gpu(warn)) return gpu;
  } else if (name != "cpu") {
    throw Error(fmt::format("{} {}: must be auto, cpu, hip or hip:N", Parameter::kDevice, name));
  }
  auto cpu = std::make_unique<CpuDevice>(threads);
  if (warn && !cpu->note().empty()) warn(cpu->note());
  return cpu;
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices = list_hip_devices();
  for (DeviceInfo& info : devices) {
    try {
      make_hip_device(index_in(info.name));
    } catch (const NoKernelsForGpu& error) {
      info.description = error.what();
      info.usable = false;
    }
  }
  if (devices.empty()) {
    try {
      make_hip_device(std::nullopt);
    } catch (const Error& error) {
      devices.push_back({"hip", error.what(), false, false});
    }
  }
  devices.push_back({"cpu", CpuDevice(0).description() + ", fp32"});
  return devices;
}

}  // namespace hipgpt
