// Device: memory, streams of work and the operations that a transformer is made of (operations.h).
//
// The model (above) calls operations and never a kernel; the implementations (below: src/cpu, src/hip) know
// nothing of transformers. `CpuDevice` is the reference.
//
// Operations are done in the order of the calls, but a call may return before its work is done; only
// copy_to_host() waits. What changes from step to step (a position, a learning rate, the count of forward
// passes) is read from the device's memory when an operation runs, so that a graph of operations can be
// captured once and replayed many times.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "operands.h"
#include "tensor.h"

namespace hipgpt {

/// A device of this machine, as `--list-devices` shows it.
struct DeviceInfo {
  std::string name;         ///< for --device
  std::string description;  ///< one line for people
  bool usable = true;       ///< false: `description` says why it is not
  bool emulated = false;    ///< a GPU that is imitated on the CPU, for tests
};

class Device {
 public:
  virtual ~Device() = default;
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// One line for people: what it is and how many threads or units it uses.
  virtual std::string description() const = 0;

  // ---- Memory -------------------------------------------------------------------------------------------

  /// Memory aligned to 64 bytes; Error (with the size) when there is none left. Contents are undefined.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  /// The same on the host: memory that the device copies to fastest.
  virtual void* allocate_host(size_t bytes) = 0;
  virtual void release_host(void* memory) noexcept = 0;
  /// Copies and set_zero() take contiguous tensors; Error for others. `host` may be reused as soon as this
  /// returns.
  virtual void copy_to_device(Tensor dst, const void* host) = 0;
  /// Waits for everything before it.
  virtual void copy_to_host(void* host, Tensor src) = 0;
  /// dst = src, of the same dtype and size.
  virtual void copy(Tensor dst, Tensor src) = 0;
  virtual void set_zero(Tensor t) = 0;

  /// Bytes of a large intermediate result that are best worked on at a time: enough to keep the device busy,
  /// few enough for its caches.
  virtual int64_t working_set() const = 0;

  // ---- Graphs -------------------------------------------------------------------------------------------

  /// Operations that were captured to be replayed many times, on the same tensors.
  class Graph {
   public:
    virtual ~Graph() = default;
    virtual void replay() = 0;
  };

  /// Captures the operations that `f` calls, without doing them. `f` may not copy from or to the host, and
  /// the graph must not outlive what `f` refers to: on a CPU, to replay it is to call `f`.
  virtual std::unique_ptr<Graph> capture(std::function<void()> f) = 0;

  // ---- Operations ---------------------------------------------------------------------------------------

#define HIPGPT_OPERATION(name, parameters, arguments) virtual void name parameters = 0;
#include "operations.h"
};

/// Owns a piece of a device's memory, or of the host's for copies from the device.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, size_t bytes)
      : memory_(device.allocate(bytes), Release{&device, &Device::release}), bytes_(bytes) {}

  static Buffer on_host(Device& device, size_t bytes) {
    Buffer buffer;
    buffer.memory_ = {device.allocate_host(bytes), Release{&device, &Device::release_host}};
    buffer.bytes_ = bytes;
    return buffer;
  }

  std::byte* data() const { return static_cast<std::byte*>(memory_.get()); }
  size_t bytes() const { return bytes_; }

 private:
  struct Release {
    Device* device;
    void (Device::*release)(void*) noexcept;
    void operator()(void* memory) const noexcept { (device->*release)(memory); }
  };
  std::unique_ptr<void, Release> memory_;
  size_t bytes_ = 0;
};

/// The device that `--device NAME` asks for: "cpu", "hip" (a GPU), "hip:N" (the GPU with that index), or "auto"
/// (a GPU if there is one). `threads`, of the CPU, 0: all cores. Error for a name that is unknown, and where
/// there is no such GPU or no kernels for it. Where "auto" passes over a GPU because this build has no
/// kernels for it, `warn` hears why.
std::unique_ptr<Device> make_device(const std::string& name, int threads,
                                    const std::function<void(const std::string&)>& warn = {});

/// What make_device() can make here: GPUs as "hip:N", discrete ones first, then the CPU. Where there is no
/// GPU, "hip" comes with the reason.
std::vector<DeviceInfo> list_devices();

}  // namespace hipgpt
