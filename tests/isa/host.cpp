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

/// Runs a kernel with `shared` bytes of dynamic shared memory. Returns 0 if it ran.
using Launch = int (*)(const void* image, const char* name, const unsigned* grid, const unsigned* block,
                       unsigned shared, void** arguments);

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

hipError_t hipLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                           hipStream_t) {
  const auto found = kernels().find(function);
  if (found == kernels().end() || launch == nullptr) return last_error = hipErrorInvalidValue;
  const unsigned blocks[] = {grid.x, grid.y, grid.z}, threads[] = {block.x, block.y, block.z};
  if (launch(found->second.image, found->second.name, blocks, threads, static_cast<unsigned>(shared),
             arguments) != 0)
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

hipError_t hipFuncSetAttribute(const void*, hipFuncAttribute, int) {
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

/// The type of the matrices of the next operations (operations.h), and whether linear() writes fp32 anyway.
DType matrix_type = DType::kF32;
bool wide_result = false;

Tensor matrix(const void* data, std::initializer_list<int64_t> shape) {
  return data == nullptr ? Tensor() : Tensor(const_cast<void*>(data), shape, matrix_type);
}

/// A linear layer whose weight is [out,in] if `out_in` is not 0, and [in,out] otherwise.
Linear layer_of(const Tensor& weight, const float* bias, int out_in, int out) {
  return {weight, f32(bias, {out}), out_in != 0 ? Layout::kOutIn : Layout::kInOut};
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

/// Sets the type of the matrices of the next operations.
void isa_set_dtype(int bf16, int wide) {
  matrix_type = bf16 != 0 ? DType::kBF16 : DType::kF32;
  wide_result = wide != 0;
}

int isa_linear(void* y, const void* x, const void* w, int out_in, const float* bias, int activation,
               void* slope, int rows, int out, int in) {
  return status_of([&] {
    const Tensor weight = out_in != 0 ? matrix(w, {out, in}) : matrix(w, {in, out}),
                 input = matrix(x, {rows, in});
    if (wide_result) matrix_type = DType::kF32;
    hip::linear(stream, matrix(y, {rows, out}), input, layer_of(weight, bias, out_in, out), act(activation),
                matrix(slope, {rows, out}));
  });
}

int isa_fused_linear(void* y, const void* residual, const void* x, const void* w, const float* bias, int scaled,
                     int activation, int rows, int out, int in) {
  return status_of([&] {
    const Tensor weight = matrix(w, {out, in}), input = matrix(x, {rows, in});
    if (wide_result) matrix_type = DType::kF32;
    hip::fused_linear(stream, matrix(y, {rows, out}), matrix(residual, {rows, out}), input, scaled != 0,
                      layer_of(weight, bias, 1, out), act(activation));
  });
}

int isa_linear_backward(void* dx, float* dw, float* db, const void* dy, const void* x, const void* w,
                        int out_in, const void* slope, float* dx_sums, int rows, int out, int in) {
  return status_of([&] {
    const Tensor weight = out_in != 0 ? matrix(w, {out, in}) : matrix(w, {in, out});
    const Tensor gradient = out_in != 0 ? f32(dw, {out, in}) : f32(dw, {in, out});
    hip::linear_backward(stream, matrix(dx, {rows, in}), layer_of(gradient, db, out_in, out),
                         matrix(dy, {rows, out}), matrix(x, {rows, in}),
                         layer_of(weight, nullptr, out_in, out), matrix(slope, {rows, in}), f32(dx_sums, {in}));
  });
}

int isa_embedding(void* y, const int32_t* tokens, const void* wte, const void* wpe, const int32_t* first,
                  int batch, int seq_len, int width, int vocab, int positions) {
  return status_of([&] {
    hip::embedding(stream, matrix(y, {int64_t{batch} * seq_len, width}), i32(tokens, {batch, seq_len}),
                   matrix(wte, {vocab, width}), matrix(wpe, {positions, width}), i32(first, {1}));
  });
}

int isa_embedding_backward(float* dwte, float* dwpe, const void* dy, const int32_t* tokens, int batch,
                           int seq_len, int width, int vocab, int positions) {
  return status_of([&] {
    hip::embedding_backward(stream, f32(dwte, {vocab, width}), f32(dwpe, {positions, width}),
                            matrix(dy, {int64_t{batch} * seq_len, width}), i32(tokens, {batch, seq_len}));
  });
}

int isa_layernorm(void* y, float* mean, float* rstd, const void* x, const float* w, const float* b, int rows,
                  int width) {
  return status_of([&] {
    hip::layernorm(stream, matrix(y, {rows, width}), {f32(mean, {rows}), f32(rstd, {rows})},
                   matrix(x, {rows, width}), {f32(w, {width}), f32(b, {width})});
  });
}

int isa_residual_layernorm(void* sum, void* y, float* mean, float* rstd, const void* x, const void* branch,
                           const float* w, const float* b, int rows, int width) {
  return status_of([&] {
    hip::residual_layernorm(stream, matrix(sum, {rows, width}), matrix(y, {rows, width}),
                            {f32(mean, {rows}), f32(rstd, {rows})}, matrix(x, {rows, width}),
                            matrix(branch, {rows, width}), dropout, {f32(w, {width}), f32(b, {width})});
  });
}

int isa_layernorm_backward(void* dx, float* dw, float* db, const void* dy, const void* x, const float* w,
                           const float* mean, const float* rstd, float* dx_sums, int rows, int width) {
  return status_of([&] {
    hip::layernorm_backward(stream, matrix(dx, {rows, width}), {f32(dw, {width}), f32(db, {width})},
                            matrix(dy, {rows, width}), matrix(x, {rows, width}), {f32(w, {width}), {}},
                            {f32(mean, {rows}), f32(rstd, {rows})}, f32(dx_sums, {width}));
  });
}

int isa_attention(void* out, float* lse, const void* qkv, int batch, int seq_len, int heads, int head_size) {
  const int64_t B = batch, T = seq_len, E = int64_t{heads} * head_size;
  return status_of([&] {
    hip::attention(stream, matrix(out, {B, T, E}), f32(lse, {B, heads, T}), matrix(qkv, {B, T, 3 * E}), heads,
                   dropout);
  });
}

int isa_attention_backward(void* dqkv, const void* dout, const void* qkv, const void* out, const float* lse,
                           float* dqkv_sums, int batch, int seq_len, int heads, int head_size) {
  const int64_t B = batch, T = seq_len, E = int64_t{heads} * head_size;
  return status_of([&] {
    hip::attention_backward(stream, matrix(dqkv, {B, T, 3 * E}), matrix(dout, {B, T, E}),
                            matrix(qkv, {B, T, 3 * E}), matrix(out, {B, T, E}), f32(lse, {B, heads, T}),
                            heads, dropout, f32(dqkv_sums, {3 * E}));
  });
}

int isa_attention_cached(void* out, void* keys, void* values, const void* qkv, int batch, int count,
                         int heads, int head_size, int capacity, const int32_t* past) {
  const int64_t B = batch, T = count, S = capacity, E = int64_t{heads} * head_size;
  return status_of([&] {
    hip::attention_cached(stream, matrix(out, {B, T, E}), matrix(keys, {B, S, E}), matrix(values, {B, S, E}),
                          matrix(qkv, {B, T, 3 * E}), heads, i32(past, {1}));
  });
}

int isa_add_dropout(void* y, const void* x, const void* branch, int rows, int width) {
  return status_of([&] {
    hip::add_dropout(stream, matrix(y, {rows, width}), matrix(x, {rows, width}),
                     matrix(branch, {rows, width}), dropout);
  });
}

int isa_cross_entropy(float* losses, const void* logits, const int32_t* targets, int rows, int vocab) {
  return status_of([&] {
    hip::cross_entropy(stream, f32(losses, {rows}), matrix(logits, {rows, vocab}), i32(targets, {rows}));
  });
}

int isa_cross_entropy_with_gradient(float* losses, void* logits, const int32_t* targets, float scale,
                                    int rows, int vocab) {
  return status_of([&] {
    hip::cross_entropy_with_gradient(stream, f32(losses, {rows}), matrix(logits, {rows, vocab}),
                                     i32(targets, {rows}), scale);
  });
}

int isa_sum(float* out, const float* x, int64_t n) {
  return status_of([&] { hip::sum(stream, f32(out, {1}), f32(x, {n})); });
}

int isa_l2_norm(float* out, const float* x, int64_t n) {
  return status_of([&] { hip::l2_norm(stream, f32(out, {1}), f32(x, {n})); });
}

int isa_round_to_bf16(uint16_t* out, const float* x, int64_t n) {
  return status_of([&] { hip::round_to_bf16(stream, Tensor(out, {n}, DType::kBF16), f32(x, {n})); });
}

int isa_adamw(float* params, uint16_t* rounded, const float* grads, float* m, float* v,
              const float* grad_norm, const float* rates, float beta1, float beta2, float epsilon,
              float weight_decay, float max_grad_norm, int64_t decayed, int64_t n) {
  const AdamW options{beta1, beta2, epsilon, weight_decay, max_grad_norm, decayed};
  return status_of([&] {
    const Tensor copy = rounded == nullptr ? Tensor() : Tensor(rounded, {decayed}, DType::kBF16);
    hip::adamw(stream, f32(params, {n}), copy, f32(grads, {n}), f32(m, {n}), f32(v, {n}), f32(grad_norm, {1}),
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
