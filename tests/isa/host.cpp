// The launchers of hip_kernels.h as C functions, and a HIP runtime that passes their launches to a callback.
// With them, src/hip as compiled by hipcc runs without a GPU and without ROCm's runtime. run_kernels.py loads
// the library and emulates the kernels.
#include <cstdio>
#include <cstring>
#include <map>

#include "error.h"
#include "hip/check.h"
#include "hip_kernels.h"

// ---- The runtime: only the functions that the kernels' host code calls ----------------------------------

namespace {

struct Kernel {
  const void* image;  // code objects of the kernel's source file
  const char* name;   // mangled
};

struct Configuration {
  dim3 grid, block;
  size_t shared;
  hipStream_t stream;
};

/// Runs a kernel. Returns 0 if it ran.
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

// Launchers that could use two streams refer to these; here they get one.
hipError_t hipEventRecord(hipEvent_t, hipStream_t) {
  return hipSuccess;
}

hipError_t hipStreamWaitEvent(hipStream_t, hipEvent_t, unsigned) {
  return hipSuccess;
}

hipError_t hipGetLastError() {
  const hipError_t error = last_error;
  last_error = hipSuccess;
  return error;
}

void isa_set_launch(Launch callback) {
  launch = callback;
}

/// Calls f(image, name) for every kernel.
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

hip::Stream stream;
Dropout dropout;
int32_t dropout_step;

/// Calls f. Returns 1 if it throws, because an exception must not leave a C function.
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

/// A tensor in Python's memory, or no tensor if `data` is null.
Tensor f32(const float* data, std::initializer_list<int64_t> shape) {
  return data == nullptr ? Tensor() : Tensor(const_cast<float*>(data), shape);
}
Tensor i32(const int32_t* data, std::initializer_list<int64_t> shape) {
  return data == nullptr ? Tensor() : Tensor(const_cast<int32_t*>(data), shape, DType::kI32);
}

/// A linear layer whose weight is [out,in] if `out_in` is not 0, and [in,out] otherwise.
Linear layer_of(const float* weight, const float* bias, int out_in, int in, int out) {
  return {out_in != 0 ? f32(weight, {out, in}) : f32(weight, {in, out}), f32(bias, {out}),
          out_in != 0 ? Layout::kOutIn : Layout::kInOut};
}
Activation act(int index) {
  return static_cast<Activation>(index);
}

}  // namespace

extern "C" {

/// Sets the stream for the next operations.
void isa_set_stream(float* scratch, int64_t scratch_floats, int compute_units) {
  stream = {nullptr, scratch, scratch_floats, compute_units};
}

/// Sets the dropout for the next operations; p = 0 means none.
void isa_set_dropout(float p, uint64_t seed, int32_t step, uint32_t site) {
  dropout_step = step;
  dropout = {p, seed, i32(&dropout_step, {1}), site};
}

int isa_linear(float* y, const float* x, const float* w, int out_in, const float* bias, int activation,
               float* pre, int rows, int out, int in) {
  return status_of([&] {
    hip::linear(stream, f32(y, {rows, out}), f32(x, {rows, in}), layer_of(w, bias, out_in, in, out),
                act(activation), f32(pre, {rows, out}));
  });
}

int isa_linear_backward(float* dx, float* dw, float* db, const float* dy, const float* x, const float* w,
                        int out_in, int activation, const float* pre, int rows, int out, int in) {
  return status_of([&] {
    hip::linear_backward(stream, f32(dx, {rows, in}), layer_of(dw, db, out_in, in, out), f32(dy, {rows, out}),
                         f32(x, {rows, in}), layer_of(w, nullptr, out_in, in, out), act(activation),
                         f32(pre, {rows, in}));
  });
}

int isa_embedding(float* y, const int32_t* tokens, const float* wte, const float* wpe, const int32_t* first,
                  int batch, int seq_len, int width, int vocab, int positions) {
  return status_of([&] {
    hip::embedding(stream, f32(y, {int64_t{batch} * seq_len, width}), i32(tokens, {batch, seq_len}),
                   f32(wte, {vocab, width}), f32(wpe, {positions, width}), i32(first, {1}));
  });
}

int isa_embedding_backward(float* dwte, float* dwpe, const float* dy, const int32_t* tokens, int batch,
                           int seq_len, int width, int vocab, int positions) {
  return status_of([&] {
    hip::embedding_backward(stream, f32(dwte, {vocab, width}), f32(dwpe, {positions, width}),
                            f32(dy, {int64_t{batch} * seq_len, width}), i32(tokens, {batch, seq_len}));
  });
}

int isa_layernorm(float* y, float* mean, float* rstd, const float* x, const float* w, const float* b,
                  int rows, int width) {
  return status_of([&] {
    hip::layernorm(stream, f32(y, {rows, width}), {f32(mean, {rows}), f32(rstd, {rows})},
                   f32(x, {rows, width}), {f32(w, {width}), f32(b, {width})});
  });
}

int isa_residual_layernorm(float* sum, float* y, float* mean, float* rstd, const float* x,
                           const float* branch, const float* w, const float* b, int rows, int width) {
  return status_of([&] {
    hip::residual_layernorm(stream, f32(sum, {rows, width}), f32(y, {rows, width}),
                            {f32(mean, {rows}), f32(rstd, {rows})}, f32(x, {rows, width}),
                            f32(branch, {rows, width}), dropout, {f32(w, {width}), f32(b, {width})});
  });
}

int isa_layernorm_backward(float* dx, float* dw, float* db, const float* dy, const float* x, const float* w,
                           const float* mean, const float* rstd, int rows, int width) {
  return status_of([&] {
    hip::layernorm_backward(stream, f32(dx, {rows, width}), {f32(dw, {width}), f32(db, {width})},
                            f32(dy, {rows, width}), f32(x, {rows, width}), {f32(w, {width}), {}},
                            {f32(mean, {rows}), f32(rstd, {rows})});
  });
}

int isa_attention(float* out, float* lse, const float* qkv, int batch, int seq_len, int heads,
                  int head_size) {
  const int64_t B = batch, T = seq_len, E = int64_t{heads} * head_size;
  return status_of([&] {
    hip::attention(stream, f32(out, {B, T, E}), f32(lse, {B, heads, T}), f32(qkv, {B, T, 3 * E}), heads,
                   dropout);
  });
}

int isa_attention_backward(float* dqkv, const float* dout, const float* qkv, const float* out,
                           const float* lse, int batch, int seq_len, int heads, int head_size) {
  const int64_t B = batch, T = seq_len, E = int64_t{heads} * head_size;
  return status_of([&] {
    hip::attention_backward(stream, f32(dqkv, {B, T, 3 * E}), f32(dout, {B, T, E}), f32(qkv, {B, T, 3 * E}),
                            f32(out, {B, T, E}), f32(lse, {B, heads, T}), heads, dropout);
  });
}

int isa_attention_cached(float* out, float* keys, float* values, const float* qkv, int batch, int count,
                         int heads, int head_size, int capacity, const int32_t* past) {
  const int64_t B = batch, T = count, S = capacity, E = int64_t{heads} * head_size;
  return status_of([&] {
    hip::attention_cached(stream, f32(out, {B, T, E}), f32(keys, {B, S, E}), f32(values, {B, S, E}),
                          f32(qkv, {B, T, 3 * E}), heads, i32(past, {1}));
  });
}

int isa_add_dropout(float* y, const float* x, const float* branch, int rows, int width) {
  return status_of([&] {
    hip::add_dropout(stream, f32(y, {rows, width}), f32(x, {rows, width}), f32(branch, {rows, width}),
                     dropout);
  });
}

int isa_cross_entropy(float* losses, const float* logits, const int32_t* targets, int rows, int vocab) {
  return status_of([&] {
    hip::cross_entropy(stream, f32(losses, {rows}), f32(logits, {rows, vocab}), i32(targets, {rows}));
  });
}

int isa_cross_entropy_with_gradient(float* losses, float* logits, const int32_t* targets, float scale,
                                    int rows, int vocab) {
  return status_of([&] {
    hip::cross_entropy_with_gradient(stream, f32(losses, {rows}), f32(logits, {rows, vocab}),
                                     i32(targets, {rows}), scale);
  });
}

int isa_sum(float* out, const float* x, int64_t n) {
  return status_of([&] { hip::sum(stream, f32(out, {1}), f32(x, {n})); });
}

int isa_l2_norm(float* out, const float* x, int64_t n) {
  return status_of([&] { hip::l2_norm(stream, f32(out, {1}), f32(x, {n})); });
}

int isa_adamw(float* params, const float* grads, float* m, float* v, const float* grad_norm,
              const float* rates, float beta1, float beta2, float epsilon, float weight_decay,
              float max_grad_norm, int64_t decayed, int64_t n) {
  const AdamW options{beta1, beta2, epsilon, weight_decay, max_grad_norm, decayed};
  return status_of([&] {
    hip::adamw(stream, f32(params, {n}), {}, f32(grads, {n}), f32(m, {n}), f32(v, {n}), f32(grad_norm, {1}),
               f32(rates, {3}), options);
  });
}

int isa_sample(int32_t* token, const float* logits, int32_t* seen, int32_t* draw, int batch, int vocab,
               int top_k, double top_p, double temperature, double penalty, uint64_t seed) {
  const Sampling options{top_k, top_p, temperature, penalty, seed};
  return status_of([&] {
    hip::sample(stream, i32(token, {batch}), f32(logits, {batch, vocab}), i32(seen, {batch, vocab}),
                i32(draw, {batch, 2}), options);
  });
}

int isa_increment(int32_t* counters, int count) {
  return status_of([&] { hip::increment(stream, i32(counters, {count})); });
}

}  // extern "C"
