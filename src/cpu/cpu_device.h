// CpuDevice: the operations of Device in fp32 on the cores of this machine.
//
// One file for each operation, named as its HIP sibling is; this header only lists them. They are plain loops
// that the compiler vectorises, a pool of threads (parallel.h), and OpenBLAS for matrix products.
#pragma once

#include <vector>

#include "cpu/thread_pool.h"
#include "device.h"

namespace hipgpt {

class CpuDevice final : public Device {
 public:
  /// `threads` 0 means all cores.
  explicit CpuDevice(int threads);

  std::string description() const override;

  void* allocate(size_t bytes) override;
  void release(void* memory) noexcept override;
  void* allocate_host(size_t bytes) override { return allocate(bytes); }
  void release_host(void* memory) noexcept override { release(memory); }
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
  cpu::ThreadPool threads_;
  std::vector<double> partial_sums_;
};

}  // namespace hipgpt
