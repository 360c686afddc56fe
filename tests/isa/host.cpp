// The operations of hip_kernels.h as C functions, and a HIP runtime that hands their launches to whoever set
// the callback: with it a library of src/hip, as hipcc compiles it, runs without a GPU and without ROCm's
// runtime. run_kernels.py loads it and emulates the kernels.
#include <cstdio>
#include <cstring>
#include <map>

#include "error.h"
#include "hip/check.h"
#include "hip_kernels.h"

// ---- The runtime: the functions that the kernels' host code calls, and nothing else ---------------------

namespace {

struct Kernel {
  const void* image;  // code objects of the file that the kernel is in
  const char* name;   // mangled
};

struct Configuration {
  dim3 grid, block;
  size_t shared;
  hipStream_t stream;
};

/// 0 if the kernel ran.
using Launch = int (*)(const void* image, const char* name, const unsigned* grid, const unsigned* block,
                       void** arguments);

std::map<const void*, Kernel>& kernels() {
  static std::map<const void*, Kernel> map;  // filled before main
  return map;
}

Configuration configuration;
Launch launch = nullptr;
hipError_t last_error = hipSuccess;

}  // namespace

extern "C" {

struct FatBinary {
  unsigned magic, version;
  const void* image;
  const void* unused;
};

void** __hipRegisterFatBinary(const void* binary) {
  auto** handle = new void*;
  *handle = const_cast<void*>(static_cast<const FatBinary*>(binary)->image);
  return handle;
}

void __hipUnregisterFatBinary(void** handle) {
  delete handle;
}

void __hipRegisterFunction(void** handle, const void* function, char*, const char* name, unsigned, void*,
                           void*, void*, void*, int*) {
  kernels()[function] = {*handle, name};
}

hipError_t __hipPushCallConfiguration(dim3 grid, dim3 block, size_t shared, hipStream_t stream) {
  configuration = {grid, block, shared, stream};
  return hipSuccess;
}

hipError_t __hipPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, hipStream_t* stream) {
  *grid = configuration.grid;
  *block = configuration.block;
  *shared = configuration.shared;
  *stream = configuration.stream;
  return hipSuccess;
}

hipError_t hipLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t,
                           hipStream_t) {
  const auto found = kernels().find(function);
  if (found == kernels().end() || launch == nullptr) return last_error = hipErrorInvalidValue;
  const unsigned blocks[] = {grid.x, grid.y, grid.z}, threads[] = {block.x, block.y, block.z};
  if (launch(found->second.image, found->second.name, blocks, threads, arguments) != 0)
    last_error = hipErrorLaunchFailure;
  return last_error;
}

hipError_t hipGetLastError() {
  const hipError_t error = last_error;
  last_error = hipSuccess;
  return error;
}

void isa_set_launch(Launch callback) {
  launch = callback;
}

/// f(image, name) for every kernel.
void isa_list_kernels(void (*f)(const void*, const char*)) {
  for (const auto& [function, kernel] : kernels()) f(kernel.image, kernel.name);
}

}  // extern "C"

void hipgpt::hip::throw_hip_error(hipError_t, const char* call, const char*, int) {
  throw Error(call);
}

// ---- The operations -------------------------------------------------------------------------------------

namespace {

using namespace hipgpt;

hip::Queue queue;
Dropout dropout;
int32_t dropout_pass;

/// 1 if f throws: an exception may not leave a C function.
template <typename F>
int status_of(F f) {
  try {
    f();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

Device::Op op(int transposed) {
  return transposed != 0 ? Device::Op::kTranspose : Device::Op::kNone;
}
Activation act(int index) {
  return static_cast<Activation>(index);
}

}  // namespace

extern "C" {

/// For the operations that follow.
void isa_set_queue(float* scratch, int64_t scratch_floats, int compute_units) {
  queue = {nullptr, scratch, scratch_floats, compute_units};
}

/// Likewise; p = 0: none.
void isa_set_dropout(float p, uint64_t seed, int32_t pass, uint32_t site) {
  dropout_pass = pass;
  dropout = {p, seed, Tensor(reinterpret_cast<std::byte*>(&dropout_pass), {1}, DType::kI32), site};
}

int isa_matmul(float* c, const float* a, int op_a, const float* b, int op_b, int m, int n, int k,
               int accumulate) {
  return status_of([&] { hip::matmul(queue, c, a, op(op_a), b, op(op_b), m, n, k, accumulate != 0); });
}

int isa_linear(float* y, const float* x, const float* w, int op_w, const float* bias, int activation,
               float* pre, int m, int n, int k) {
  return status_of([&] { hip::linear(queue, y, x, w, op(op_w), bias, act(activation), pre, m, n, k); });
}

int isa_linear_backward_input(float* dx, const float* dy, const float* w, int op_w, const float* pre,
                              int activation, int m, int n, int k) {
  return status_of(
      [&] { hip::linear_backward_input(queue, dx, dy, w, op(op_w), pre, act(activation), m, n, k); });
}

int isa_column_sums(float* db, const float* dy, int m, int n) {
  return status_of([&] { hip::column_sums(queue, db, dy, m, n); });
}

int isa_embedding(float* y, const int32_t* tokens, const float* wte, const float* wpe, const int32_t* first,
                  int batch, int seq_len, int width) {
  return status_of([&] { hip::embedding(queue, y, tokens, wte, wpe, first, batch, seq_len, width); });
}

int isa_embedding_backward(float* dwte, float* dwpe, const float* dy, const int32_t* tokens, int batch,
                           int seq_len, int width) {
  return status_of([&] { hip::embedding_backward(queue, dwte, dwpe, dy, tokens, batch, seq_len, width); });
}

int isa_layernorm(float* y, float* mean, float* rstd, const float* x, const float* w, const float* b,
                  int rows, int width) {
  return status_of([&] { hip::layernorm(queue, y, mean, rstd, x, w, b, rows, width); });
}

int isa_residual_layernorm(float* sum, float* y, float* mean, float* rstd, const float* x,
                           const float* branch, const float* w, const float* b, int rows, int width) {
  return status_of(
      [&] { hip::residual_layernorm(queue, sum, y, mean, rstd, x, branch, dropout, w, b, rows, width); });
}

int isa_layernorm_backward(float* dx, float* dw, float* db, const float* dy, const float* x, const float* w,
                           const float* mean, const float* rstd, int rows, int width) {
  return status_of([&] { hip::layernorm_backward(queue, dx, dw, db, dy, x, w, mean, rstd, rows, width); });
}

int isa_attention(float* out, float* lse, const float* qkv, int batch, int seq_len, int heads,
                  int head_size) {
  return status_of([&] { hip::attention(queue, out, lse, qkv, batch, seq_len, heads, head_size, dropout); });
}

int isa_attention_backward(float* dqkv, const float* dout, const float* qkv, const float* out,
                           const float* lse, int batch, int seq_len, int heads, int head_size) {
  return status_of([&] {
    hip::attention_backward(queue, dqkv, dout, qkv, out, lse, batch, seq_len, heads, head_size, dropout);
  });
}

int isa_attention_cached(float* out, float* keys, float* values, const float* qkv, int batch, int count,
                         int heads, int head_size, int capacity, const int32_t* past) {
  return status_of([&] {
    hip::attention_cached(queue, out, keys, values, qkv, batch, count, heads, head_size, capacity, past);
  });
}

int isa_add_dropout(float* y, const float* x, const float* branch, int rows, int width) {
  return status_of([&] { hip::add_dropout(queue, y, x, branch, dropout, rows, width); });
}

int isa_cross_entropy(float* losses, const float* logits, const int32_t* targets, int rows, int vocab) {
  return status_of([&] { hip::cross_entropy(queue, losses, logits, targets, rows, vocab); });
}

int isa_cross_entropy_with_gradient(float* losses, float* logits, const int32_t* targets, float scale,
                                    int rows, int vocab) {
  return status_of(
      [&] { hip::cross_entropy_with_gradient(queue, losses, logits, targets, scale, rows, vocab); });
}

int isa_sum(float* out, const float* x, int64_t n) {
  return status_of([&] { hip::sum(queue, out, x, n); });
}

int isa_norm(float* out, const float* x, int64_t n) {
  return status_of([&] { hip::norm(queue, out, x, n); });
}

int isa_adamw(float* params, const float* grads, float* m, float* v, const float* grad_norm,
              const float* rates, float beta1, float beta2, float epsilon, float weight_decay,
              float max_grad_norm, int64_t decayed, int64_t n) {
  const AdamW options{beta1, beta2, epsilon, weight_decay, max_grad_norm, decayed};
  return status_of([&] { hip::adamw(queue, params, grads, m, v, grad_norm, rates, options, n); });
}

int isa_sample(int32_t* token, const float* logits, int32_t* seen, int32_t* draw, int batch, int vocab,
               int top_k, double top_p, double temperature, double penalty, uint64_t seed) {
  const Sampling options{top_k, top_p, temperature, penalty, seed};
  return status_of([&] { hip::sample(queue, token, logits, seen, draw, batch, vocab, options); });
}

int isa_increment(int32_t* counters, int count) {
  return status_of([&] { hip::increment(queue, counters, count); });
}

}  // extern "C"
