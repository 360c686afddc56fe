// HipDevice: the operations of Device on a GPU, by the kernels of hip_kernels.h.
//
// Work is launched on one stream. Independent parts of an operation also use a second stream. The host runs
// ahead; only copy_to_host() waits.
#pragma once

#include <hip/hip_runtime.h>

#include <array>
#include <string>

#include "device.h"
#include "hip_kernels.h"

namespace hipgpt {

namespace hip {

/// Owns a HIP resource and destroys it in the destructor.
template <typename T, hipError_t (*kDestroy)(T)>
class Handle {
 public:
  Handle() = default;
  ~Handle() {
    if (value_ != nullptr) static_cast<void>(kDestroy(value_));
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  T* out() { return &value_; }
  T get() const { return value_; }

 private:
  T value_ = nullptr;
};

inline hipError_t free_device(void* memory) {
  return hipFree(memory);
}
inline hipError_t free_host(void* memory) {
  return hipHostFree(memory);
}
inline hipError_t destroy_stream(hipStream_t stream) {
  return hipStreamDestroy(stream);
}
inline hipError_t destroy_event(hipEvent_t event) {
  return hipEventDestroy(event);
}

using DeviceMemory = Handle<void*, free_device>;
using PinnedMemory = Handle<void*, free_host>;
using StreamHandle = Handle<hipStream_t, destroy_stream>;
using Event = Handle<hipEvent_t, destroy_event>;

}  // namespace hip

class HipDevice final : public Device {
 public:
  /// Opens the GPU with this index in the runtime. Throws Error if the GPU cannot be used, and
  /// NoKernelsForGpu if this build has no code for it.
  explicit HipDevice(int index);
  ~HipDevice() override;

  std::string description() const override;

  Memory memory() const override;
  void* allocate(size_t bytes) override;
  void release(void* memory) noexcept override;
  void* allocate_host(size_t bytes) override;
  void release_host(void* memory) noexcept override;
  void copy_to_device(Tensor dst, const void* host) override;
  void copy_to_host(void* host, Tensor src) override;
  void copy(Tensor dst, Tensor src) override;
  void set_zero(Tensor t) override;
  DType preferred_dtype() const override;
  int64_t working_set() const override;
  void* native_stream() const override { return stream().handle; }
  std::unique_ptr<Graph> capture(std::function<void()> f) override;

#define HIPGPT_OPERATION(name, parameters, arguments) \
  void name parameters override {                     \
    hip::name(stream(), HIPGPT_LIST arguments);       \
  }
#include "operations.h"

 private:
  /// Pinned memory for copies from the host: the GPU reads it while the host continues.
  struct Staging {
    hip::PinnedMemory memory;
    hip::Event free;  // recorded after the GPU's read
  };
  static constexpr size_t kStagingBytes = size_t{4} << 20, kFewBytes = 4096;

  /// A stream with its scratch memory, and `launch`, which passes both to launchers.
  struct OwnedStream {
    hip::StreamHandle stream;
    hip::DeviceMemory scratch;
    hip::Stream launch;
  };

  void make_stream(OwnedStream& stream);
  void check_for_kernels();

  /// Throws the Error for a fault that a kernel has reported since the last call.
  void check_faults();

  /// Makes this GPU current for the calling thread and returns the stream for operations.
  const hip::Stream& stream() const;
  Staging& next_staging();

  int index_;
  hipDeviceProp_t properties_;
  OwnedStream main_, side_;
  hip::Event forked_, joined_;
  hip::PinnedMemory fault_;      // int32: see hip/fault.h
  hip::PinnedMemory few_bytes_;  // on their way to the host: see hip/copy.h
  std::array<Staging, 4> staging_;
  size_t next_staging_ = 0;
};

}  // namespace hipgpt
