// The HIP kernels of HipGPT, as functions that launch them: one for each operation of device.h, on plain
// pointers into the memory of a GPU. HipDevice is made of them; they are as good without it.
//
// Each returns at once; the work is done in the order of the stream. Matrices are row-major fp32, tokens
// int32. No function allocates, synchronises, or adds floating-point numbers in an order that could change
// from run to run. Error (error.h) if a launch fails. Mathematics and sources are in device.h; bytes,
// operations and tiles at the head of each file in src/hip.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

#include "device.h"

namespace hipgpt::hip {

/// Where kernels run: a stream, and scratch memory that only work on this stream uses.
struct Queue {
  hipStream_t stream;
  float* scratch;
  int64_t scratch_floats;
  int compute_units;  ///< of the GPU: how many blocks it takes to keep it busy
};

// ---- matmul.cpp -----------------------------------------------------------------------------------------

/// C [m,n] = op(A) op(B), or C += op(A) op(B).   op(A) [m,k], op(B) [k,n].
void matmul(const Queue& queue, float* c, const float* a, Device::Op op_a, const float* b, Device::Op op_b,
            int m, int n, int k, bool accumulate);

/// y [m,n] = act(x W + bias).   x [m,k], op(W) [k,n]; bias [n] and pre [m,n] (receives x W + bias) or null.
void linear(const Queue& queue, float* y, const float* x, const float* w, Device::Op op_w, const float* bias,
            Activation act, float* pre, int m, int n, int k);

/// dx [m,k] = (dy op(W)^T) act'(pre).   dy [m,n], op(W) [k,n], pre [m,k] or null (then no activation).
void linear_backward_input(const Queue& queue, float* dx, const float* dy, const float* w, Device::Op op_w,
                           const float* pre, Activation act, int m, int n, int k);

/// db[j] += sum_i dy[i,j].   dy [m,n].
void column_sums(const Queue& queue, float* db, const float* dy, int m, int n);

// ---- embedding.cpp --------------------------------------------------------------------------------------

/// y[b,t] = wte[token[b,t]] + wpe[first + t], first = *first_position, or 0 if that is null.
void embedding(const Queue& queue, float* y, const int32_t* tokens, const float* wte, const float* wpe,
               const int32_t* first_position, int batch, int seq_len, int width);

/// dwte[token[b,t]] += dy[b,t];  dwpe[t] += sum_b dy[b,t].
void embedding_backward(const Queue& queue, float* dwte, float* dwpe, const float* dy, const int32_t* tokens,
                        int batch, int seq_len, int width);

// ---- layernorm.cpp --------------------------------------------------------------------------------------

/// y = LN(x).   x, y [rows,width]; w, b [width]; mean, rstd [rows].
void layernorm(const Queue& queue, float* y, float* mean, float* rstd, const float* x, const float* w,
               const float* b, int rows, int width);

/// sum = x + dropout(branch),  y = LN(sum).
void residual_layernorm(const Queue& queue, float* sum, float* y, float* mean, float* rstd, const float* x,
                        const float* branch, const Dropout& dropout, const float* w, const float* b, int rows,
                        int width);

/// dx += gradient through the normalisation, dw += sum dy xh, db += sum dy.
void layernorm_backward(const Queue& queue, float* dx, float* dw, float* db, const float* dy, const float* x,
                        const float* w, const float* mean, const float* rstd, int rows, int width);

// ---- attention.cpp, attention_backward.cpp --------------------------------------------------------------

/// Largest head size D that the attention kernels take.
constexpr int kMaxHeadSize = 256;

/// out [B,T,E], lse [B,H,T] from qkv [B,T,3E].
void attention(const Queue& queue, float* out, float* lse, const float* qkv, int batch, int seq_len,
               int heads, int head_size, const Dropout& dropout);

/// dqkv [B,T,3E] from dout [B,T,E].
void attention_backward(const Queue& queue, float* dqkv, const float* dout, const float* qkv,
                        const float* out, const float* lse, int batch, int seq_len, int heads, int head_size,
                        const Dropout& dropout);

/// Attention of `count` new tokens of each sequence to the *past cached ones and to each other; appends their
/// keys and values to the caches [batch,capacity,E]. qkv [batch,count,3E], out [batch,count,E].
void attention_cached(const Queue& queue, float* out, float* keys, float* values, const float* qkv, int batch,
                      int count, int heads, int head_size, int capacity, const int32_t* past);

// ---- dropout.cpp ----------------------------------------------------------------------------------------

/// y = x + dropout(branch); y and x may be the same, x may be null.   [rows,width] each.
void add_dropout(const Queue& queue, float* y, const float* x, const float* branch, const Dropout& dropout,
                 int rows, int width);

// ---- softmax_cross_entropy.cpp --------------------------------------------------------------------------

/// losses[i] = log sum exp(z[i]) - z[i,target[i]].   logits z [rows,vocab].
void cross_entropy(const Queue& queue, float* losses, const float* logits, const int32_t* targets, int rows,
                   int vocab);

/// The same, and z[i,j] becomes scale (softmax(z[i])_j - [j = target[i]]).
void cross_entropy_with_gradient(const Queue& queue, float* losses, float* logits, const int32_t* targets,
                                 float scale, int rows, int vocab);

// ---- adamw.cpp ------------------------------------------------------------------------------------------

/// out[0] = sum_i x[i] in double.
void sum(const Queue& queue, float* out, const float* x, int64_t n);

/// out[0] = sqrt(sum_i x[i]^2) in double.
void norm(const Queue& queue, float* out, const float* x, int64_t n);

/// One AdamW step; rates as in device.h.
void adamw(const Queue& queue, float* params, const float* grads, float* m, float* v, const float* grad_norm,
           const float* rates, const AdamW& options, int64_t n);

// ---- sampling.cpp ---------------------------------------------------------------------------------------

/// token[b] = a draw from logits[b]; logits and seen [batch,vocab], draw [batch,2] as in device.h.
void sample(const Queue& queue, int32_t* token, const float* logits, int32_t* seen, int32_t* draw, int batch,
            int vocab, const Sampling& options);

/// counters[i] += 1.
void increment(const Queue& queue, int32_t* counters, int count);

}  // namespace hipgpt::hip
