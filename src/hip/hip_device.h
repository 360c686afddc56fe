// HipDevice: the operations of Device on a GPU, by the kernels of hip_kernels.h.
//
// Work is queued on one stream, and where an operation has parts that do not need each other on a second one.
// The host runs ahead; only copy_to_host() waits.
#pragma once

#include <hip/hip_runtime.h>

#include <array>
#include <string>

#include "device.h"
#include "hip_kernels.h"

namespace hipgpt {

namespace hip {

/// Memory that is given back when its owner goes.
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
using Stream = Handle<hipStream_t, destroy_stream>;
using Event = Handle<hipEvent_t, destroy_event>;

}  // namespace hip

class HipDevice final : public Device {
 public:
  /// The first GPU. Error where there is none.
  HipDevice();
  ~HipDevice() override;

  std::string description() const override;

  void* allocate(size_t bytes) override;
  void release(void* memory) noexcept override;
  void* allocate_host(size_t bytes) override;
  void release_host(void* memory) noexcept override;
  void copy_to_device(Tensor dst, const void* host) override;
  void copy_to_host(void* host, Tensor src) override;
  void copy(Tensor dst, Tensor src) override;
  void set_zero(Tensor t) override;
  int64_t working_set() const override;
  std::unique_ptr<Sequence> record(std::function<void()> f) override;

  void matmul(Tensor c, Tensor a, Op op_a, Tensor b, Op op_b, bool accumulate) override;
  void linear(Tensor y, Tensor x, Tensor w, Op op_w, Tensor b, Activation act, Tensor pre) override;
  void linear_backward(Tensor dx, Tensor dw, Tensor db, Tensor dy, Tensor x, Tensor w, Op op_w,
                       Activation act, Tensor pre) override;

  void embedding(Tensor y, Tensor tokens, Tensor wte, Tensor wpe, Tensor first_position) override;
  void embedding_backward(Tensor dwte, Tensor dwpe, Tensor dy, Tensor tokens) override;

  void layernorm(Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor w, Tensor b) override;
  void residual_layernorm(Tensor sum, Tensor y, Tensor mean, Tensor rstd, Tensor x, Tensor branch,
                          const Dropout& dropout, Tensor w, Tensor b) override;
  void layernorm_backward(Tensor dx, Tensor dw, Tensor db, Tensor dy, Tensor x, Tensor w, Tensor mean,
                          Tensor rstd) override;

  void attention(Tensor out, Tensor lse, Tensor qkv, int heads, const Dropout& dropout) override;
  void attention_backward(Tensor dqkv, Tensor dout, Tensor qkv, Tensor out, Tensor lse, int heads,
                          const Dropout& dropout) override;
  void attention_cached(Tensor out, Tensor keys, Tensor values, Tensor qkv, int heads, Tensor past) override;

  void add_dropout(Tensor y, Tensor x, Tensor branch, const Dropout& dropout) override;
  void dropout_backward(Tensor dbranch, Tensor dy, const Dropout& dropout) override;

  void cross_entropy(Tensor losses, Tensor logits, Tensor targets) override;
  void cross_entropy_with_gradient(Tensor losses, Tensor logits, Tensor targets, float scale) override;

  void sum(Tensor out, Tensor x) override;
  void norm(Tensor out, Tensor x) override;
  void adamw(Tensor params, Tensor grads, Tensor m, Tensor v, Tensor grad_norm, Tensor rates,
             const AdamW& options) override;

  void sample(Tensor token, Tensor logits, Tensor seen, Tensor draw, const Sampling& options) override;
  void increment(Tensor counters) override;

 private:
  /// Pinned memory through which the host's data go: a GPU reads it while the host goes on.
  struct Staging {
    hip::PinnedMemory memory;
    hip::Event free;  // when the GPU has read it
  };
  static constexpr size_t kStagingBytes = size_t{4} << 20;

  /// A stream with its scratch memory.
  struct Lane {
    hip::Stream stream;
    hip::DeviceMemory scratch;
    hip::Queue queue;
  };

  void make_lane(Lane& lane);
  Staging& next_staging();

  hipDeviceProp_t properties_{};
  Lane main_, side_;
  hip::Event forked_, joined_;
  std::array<Staging, 4> staging_;
  size_t next_staging_ = 0;
};

}  // namespace hipgpt
