// Causal multi-head attention without a [T,T] matrix in memory.
//
// A task processes kBlock rows of a head's queries. Their scores against all keys up to the block's end fit
// in the cache. The backward pass recomputes the probabilities from the scores and the stored log-sum-exp, as
// in FlashAttention (Dao et al., 2022). Each sequence costs 4 T^2 E operations forward and 10 T^2 E backward;
// the causal mask would allow skipping about half of them.
#include <cblas.h>

#include <cassert>
#include <cmath>

#include "cpu/bf16.h"
#include "cpu/cpu_device.h"
#include "cpu/dropout_mask.h"
#include "cpu/parallel.h"
#include "cpu/softmax.h"
#include "device/check.h"

namespace hipgpt::cpu {

namespace {

constexpr int64_t kBlock = 64;

/// A [rows, cols] part of a larger row-major matrix whose rows are `stride` floats apart.
struct View {
  float* data;
  int64_t rows, cols, stride;

  float* row(int64_t i) const {
    assert(i >= 0 && i < rows);
    return data + i * stride;
  }
  View slice(int64_t first, int64_t count) const { return {row(first), count, cols, stride}; }
};

/// C = alpha op(A) op(B) + beta C. For one row, as in generation, sgemm would copy all of B.
void product(View c, float alpha, View a, bool transpose_a, View b, bool transpose_b, float beta) {
  if (c.rows == 1 && !transpose_a) {
    cblas_sgemv(CblasRowMajor, transpose_b ? CblasNoTrans : CblasTrans, static_cast<blasint>(b.rows),
                static_cast<blasint>(b.cols), alpha, b.data, static_cast<blasint>(b.stride), a.data, 1, beta,
                c.data, 1);
    return;
  }
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
              static_cast<blasint>(c.rows), static_cast<blasint>(c.cols),
              static_cast<blasint>(transpose_a ? a.rows : a.cols), alpha, a.data,
              static_cast<blasint>(a.stride), b.data, static_cast<blasint>(b.stride), beta, c.data,
              static_cast<blasint>(c.stride));
}

/// Softmax of the first `visible` entries of a row of scores; sets the rest to 0. Returns log sum exp.
float causal_softmax(float* row, int64_t visible, int64_t n) {
  const float top = largest(row, visible);
  const float total = exp_and_sum(row, visible, top);
  const float factor = 1.0f / total;
#pragma omp simd
  for (int64_t j = 0; j < visible; ++j) row[j] *= factor;
  for (int64_t j = visible; j < n; ++j) row[j] = 0.0f;
  return top + std::log(total);
}

/// out = softmax(q k^T scale + mask) v for one block of queries, whose first row attends to `first + 1` keys.
/// k and v have first + q.rows rows. `lse` may be null; `row0` is the index of the first row, for dropout.
void attend(View out, float* lse, View q, View k, View v, int64_t first, float scale, const Dropout& dropout,
            int64_t row0) {
  const int64_t keys = k.rows;
  float* memory = thread_scratch(q.rows * keys + keys);
  const View p{memory, q.rows, keys, keys};
  float* factor = memory + q.rows * keys;
  product(p, scale, q, false, k, true, 0.0f);
  for (int64_t i = 0; i < q.rows; ++i) {
    const float row_lse = causal_softmax(p.row(i), first + i + 1, keys);
    if (lse != nullptr) lse[i] = row_lse;
    if (dropout.p > 0.0f) {
      dropout_factors(factor, keys, row0 + i, dropout);
      for (int64_t j = 0; j < keys; ++j) p.row(i)[j] *= factor[j];
    }
  }
  product(out, 1.0f, p, false, v, false, 0.0f);
}

/// One head of one sequence inside the [B,T,3E] and [B,T,E] tensors.
struct Head {
  View q, k, v;
  int64_t index;  // b H + h

  Head(Tensor qkv, int heads, int64_t bh) : index(bh) {
    const int64_t seq_len = qkv.dim(1), width = qkv.dim(2) / 3, d = width / heads;
    float* base = qkv.f32() + bh / heads * seq_len * 3 * width + bh % heads * d;
    q = {base, seq_len, d, 3 * width};
    k = {base + width, seq_len, d, 3 * width};
    v = {base + 2 * width, seq_len, d, 3 * width};
  }
};

View head_of(Tensor out, int heads, int64_t bh) {
  const int64_t seq_len = out.dim(1), width = out.dim(2), d = width / heads;
  return {out.f32() + bh / heads * seq_len * width + bh % heads * d, seq_len, d, width};
}

/// Computes dq, dk and dv of one block of queries. With `first_write` it overwrites dk and dv; otherwise it
/// adds to them.
void attend_backward(const Head& grad, const Head& head, View out, View dout, const float* lse, int64_t first,
                     int64_t rows, bool first_write, float scale, const Dropout& dropout) {
  const int64_t seq_len = head.q.rows, keys = first + rows, d = head.q.cols;
  float* memory = thread_scratch(2 * rows * keys + keys);
  const View p{memory, rows, keys, keys}, dp{memory + rows * keys, rows, keys, keys};
  float* factor = memory + 2 * rows * keys;
  const View q = head.q.slice(first, rows), k = head.k.slice(0, keys), v = head.v.slice(0, keys);
  const View o = out.slice(first, rows), g = dout.slice(first, rows);
  const float beta = first_write ? 0.0f : 1.0f;

  product(p, scale, q, false, k, true, 0.0f);
  product(dp, 1.0f, g, false, v, true, 0.0f);
  for (int64_t i = 0; i < rows; ++i) {
    float *pi = p.row(i), *dpi = dp.row(i);
    const int64_t visible = first + i + 1;
    const float row_lse = lse[first + i];
#pragma omp simd
    for (int64_t j = 0; j < visible; ++j) pi[j] = exp_fast(pi[j] - row_lse);
    for (int64_t j = visible; j < keys; ++j) pi[j] = 0.0f;
    // sum_j P_ij dP_ij equals dO_i . O_i, with or without dropout.
    float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
    for (int64_t e = 0; e < d; ++e) dot += g.row(i)[e] * o.row(i)[e];
    if (dropout.p > 0.0f) {
      dropout_factors(factor, keys, head.index * seq_len + first + i, dropout);
    } else {
      std::fill(factor, factor + keys, 1.0f);
    }
    // dS = P (dP - dot) scale replaces dP, and P after dropout replaces P, for dV.
#pragma omp simd
    for (int64_t j = 0; j < keys; ++j) {
      dpi[j] = pi[j] * (factor[j] * dpi[j] - dot) * scale;
      pi[j] *= factor[j];
    }
  }
  product(grad.v.slice(0, keys), 1.0f, p, true, g, false, beta);
  product(grad.q.slice(first, rows), 1.0f, dp, false, k, false, 0.0f);
  product(grad.k.slice(0, keys), 1.0f, dp, true, q, false, beta);
}

}  // namespace

void attention(ThreadPool& threads, Tensor out, Tensor lse, Tensor qkv, int heads, const Dropout& dropout) {
  check::attention(out, lse, qkv, heads, dropout);
  if (qkv.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return attention(threads, fp32.write(out), lse, fp32.read(qkv), heads, dropout);
  }
  const int64_t batch = qkv.dim(0), seq_len = qkv.dim(1);
  const int64_t blocks = (seq_len + kBlock - 1) / kBlock;
  threads.run(batch * heads * blocks, [&](int64_t task) {
    const Head head(qkv, heads, task / blocks);
    const View head_out = head_of(out, heads, head.index);
    const int64_t first = task % blocks * kBlock, rows = std::min(kBlock, seq_len - first);
    const float scale = 1.0f / std::sqrt(static_cast<float>(head.q.cols));
    attend(head_out.slice(first, rows), lse.f32() + head.index * seq_len + first, head.q.slice(first, rows),
           head.k.slice(0, first + rows), head.v.slice(0, first + rows), first, scale, dropout,
           head.index * seq_len + first);
  });
}

void attention_backward(ThreadPool& threads, Tensor dqkv, Tensor dout, Tensor qkv, Tensor out, Tensor lse,
                        int heads, const Dropout& dropout) {
  check::attention_backward(dqkv, dout, qkv, out, lse, heads, dropout);
  if (qkv.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return attention_backward(threads, fp32.write(dqkv), fp32.read(dout), fp32.read(qkv), fp32.read(out), lse,
                              heads, dropout);
  }
  const int64_t batch = qkv.dim(0), seq_len = qkv.dim(1);
  const int64_t blocks = (seq_len + kBlock - 1) / kBlock;
  threads.run(batch * heads, [&](int64_t bh) {
    const Head head(qkv, heads, bh), grad(dqkv, heads, bh);
    const float scale = 1.0f / std::sqrt(static_cast<float>(head.q.cols));
    // The last block attends to every key, so it comes first and overwrites dk and dv instead of adding to
    // them.
    for (int64_t block = blocks - 1; block >= 0; --block) {
      const int64_t first = block * kBlock, rows = std::min(kBlock, seq_len - first);
      attend_backward(grad, head, head_of(out, heads, bh), head_of(dout, heads, bh), lse.f32() + bh * seq_len,
                      first, rows, block == blocks - 1, scale, dropout);
    }
  });
}

}  // namespace hipgpt::cpu
