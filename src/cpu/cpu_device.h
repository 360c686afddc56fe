// CpuDevice: the operations of Device in fp32 and bf16 on the CPU cores.
//
// Files have the same names as their HIP counterparts. The operations are plain loops that the compiler
// vectorises, run on a thread pool (parallel.h), with gemm.h or OpenBLAS for matrix products.
#pragma once

#include "cpu/thread_pool.h"
#include "device.h"

namespace hipgpt {

namespace cpu {

#define HIPGPT_OPERATION(name, parameters, arguments) void name(ThreadPool& threads, HIPGPT_LIST parameters);
#include "operations.h"

}  // namespace cpu

class CpuDevice final : public Device {
 public:
  /// `threads` 0 means all cores.
  explicit CpuDevice(int threads);

  std::string description() const override;

  /// A line to show to the user if matrix products are slower than this processor allows, or "".
  const std::string& note() const { return note_; }

  Memory memory() const override;
  void* allocate(size_t bytes) override;
  void release(void* memory) noexcept override;
  void* allocate_host(size_t bytes) override { return allocate(bytes); }
  void release_host(void* memory) noexcept override { release(memory); }
  void copy_to_device(Tensor dst, const void* host) override;
  void copy_to_host(void* host, Tensor src) override;
  void copy(Tensor dst, Tensor src) override;
  void set_zero(Tensor t) override;
  bool reads_host_memory() const override { return true; }
  DType preferred_dtype() const override { return DType::kF32; }
  int64_t working_set() const override;
  std::unique_ptr<Graph> capture(std::function<void()> f) override;

#define HIPGPT_OPERATION(name, parameters, arguments) \
  void name parameters override {                     \
    cpu::name(threads_, HIPGPT_LIST arguments);       \
  }
#include "operations.h"

 private:
  cpu::ThreadPool threads_;
  std::string note_;
};

}  // namespace hipgpt
