// Device: memory, streams of work and the operations of a transformer (operations.h).
//
// The model above it calls operations, never kernels. The implementations below it (src/cpu, src/hip) know
// nothing about transformers. `CpuDevice` is the reference.
//
// Operations run in the order of the calls, but a call may return before its work is done; only
// copy_to_host() waits. A value that changes from step to step (a position, a learning rate, the count of
// forward passes) is read from device memory when the operation runs. A graph of operations can therefore be
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
  std::string description;  ///< one line to show to the user
  bool usable = true;       ///< if false, `description` says why
  bool emulated = false;    ///< a GPU emulated on the CPU, for tests
};

class Device {
 public:
  virtual ~Device() = default;
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// One line to show to the user: what the device is and how many threads or units it uses.
  virtual std::string description() const = 0;

  // ---- Memory -------------------------------------------------------------------------------------------

  /// Bytes that can be allocated now, or 0 if that is unknown, and the bytes of the device.
  struct Memory {
    size_t free, total;
  };
  virtual Memory memory() const = 0;

  /// Returns memory aligned to 64 bytes, with undefined contents. Throws Error, naming the size, when memory
  /// runs out.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  /// Host memory that the device copies to fastest; otherwise like allocate().
  virtual void* allocate_host(size_t bytes) = 0;
  virtual void release_host(void* memory) noexcept = 0;
  /// All copies and set_zero() take contiguous tensors and throw Error for others. The caller may reuse
  /// `host` as soon as this returns.
  virtual void copy_to_device(Tensor dst, const void* host) = 0;
  /// Waits for all earlier operations.
  virtual void copy_to_host(void* host, Tensor src) = 0;
  /// dst = src; both have the same dtype and size.
  virtual void copy(Tensor dst, Tensor src) = 0;
  virtual void set_zero(Tensor t) = 0;

  /// Whether operations can read the host's memory, a mapped file for example, and weights narrower than their
  /// activations (see `linear` in operations.h).
  virtual bool reads_host_memory() const { return false; }

  /// The type in which models should compute: bf16 if the device has matrix cores for it, else fp32.
  virtual DType preferred_dtype() const = 0;

  /// How many bytes of a large intermediate result to process at a time: enough to keep the device busy, few
  /// enough to fit its caches.
  virtual int64_t working_set() const = 0;

  /// The stream of the operations as the runtime of the GPU names it, for other libraries of the GPU. Makes the
  /// GPU current for the calling thread. Null on a CPU.
  virtual void* native_stream() const { return nullptr; }

  // ---- Graphs -------------------------------------------------------------------------------------------

  /// Captured operations, to be replayed many times on the same tensors.
  class Graph {
   public:
    virtual ~Graph() = default;
    virtual void replay() = 0;
  };

  /// Captures the operations that `f` calls, without running them. `f` must not copy from or to the host. The
  /// graph must not outlive what `f` refers to, because a CPU replays it by calling `f`.
  virtual std::unique_ptr<Graph> capture(std::function<void()> f) = 0;

  // ---- Operations ---------------------------------------------------------------------------------------

#define HIPGPT_OPERATION(name, parameters, arguments) virtual void name parameters = 0;
#include "operations.h"
};

/// Owns a block of device memory, or of host memory for copies from the device.
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

/// The device that `--device NAME` selects: "cpu", "hip" (a GPU), "hip:N" (the GPU with that index), or
/// "auto" (a GPU if there is one). `threads` is the number of CPU threads; 0 means all cores. Throws Error if
/// the name is unknown, if there is no such GPU, or if this build has no kernels for it. `warn` receives
/// the reason if "auto" skips a GPU because this build has no kernels for it, or if the CPU's matrix products
/// are slower than the processor allows.
std::unique_ptr<Device> make_device(const std::string& name, int threads,
                                    const std::function<void(const std::string&)>& warn = {});

/// The devices that make_device() can make on this machine: GPUs as "hip:N", discrete ones first, then the
/// CPU. If there is no GPU, the list has an entry "hip" with the reason.
std::vector<DeviceInfo> list_devices();

}  // namespace hipgpt
