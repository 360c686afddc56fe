// Causal multi-head attention without a [T,T] matrix in memory.
//
// A task processes kBlock rows of a head's queries. Their scores against all keys up to the block's end fit
// in the cache. The backward pass recomputes the probabilities from the scores and the stored log-sum-exp, as
// in FlashAttention (Dao et al., 2022). Each sequence costs 4 T^2 E operations forward and 10 T^2 E backward;
// the causal mask would allow skipping about half of them.
#include <cblas.h>

#include <cassert>
#include <cmath>
#include <type_traits>

#include "cpu/bf16.h"
#include "cpu/column_sums.h"
#include "cpu/cpu_device.h"
#include "cpu/dropout_mask.h"
#include "cpu/elements.h"
#include "cpu/gemm.h"
#include "cpu/parallel.h"
#include "cpu/softmax.h"
#include "device/check.h"

namespace hipgpt::cpu {

namespace {

constexpr int64_t kBlock = 64;

/// A [rows, cols] part of a larger row-major matrix whose rows are `stride` elements apart.
template <typename T>
struct Matrix {
  T* data;
  int64_t rows, cols, stride;

  T* row(int64_t i) const {
    assert(i >= 0 && i < rows);
    return data + i * stride;
  }
  Matrix slice(int64_t first, int64_t count) const { return {row(first), count, cols, stride}; }
};
using View = Matrix<float>;

void product_by_blas(View c, View a, bool transpose_a, View b, bool transpose_b, bool accumulate) {
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
              static_cast<blasint>(c.rows), static_cast<blasint>(c.cols),
              static_cast<blasint>(transpose_a ? a.rows : a.cols), 1.0f, a.data,
              static_cast<blasint>(a.stride), b.data, static_cast<blasint>(b.stride),
              accumulate ? 1.0f : 0.0f, c.data, static_cast<blasint>(c.stride));
}

/// C = op(A) op(B), or C += op(A) op(B). For one row, as in generation, a matrix product would copy all of B.
template <typename T>
void product(View c, Matrix<T> a, bool transpose_a, Matrix<T> b, bool transpose_b, bool accumulate = false) {
  if constexpr (std::is_same_v<T, float>) {
    if (c.rows == 1 && !transpose_a) {
      cblas_sgemv(CblasRowMajor, transpose_b ? CblasNoTrans : CblasTrans, static_cast<blasint>(b.rows),
                  static_cast<blasint>(b.cols), 1.0f, b.data, static_cast<blasint>(b.stride), a.data, 1,
                  accumulate ? 1.0f : 0.0f, c.data, 1);
      return;
    }
  }
  const Gemm<T> p{c.data,   a.data,   b.data,   c.rows,      c.cols,      transpose_a ? a.rows : a.cols,
                  a.stride, b.stride, c.stride, transpose_a, transpose_b, accumulate};
  const bool done = gemm(p);
  if constexpr (std::is_same_v<T, float>) {
    if (!done) product_by_blas(c, a, transpose_a, b, transpose_b, accumulate);
  }
}

/// The matrix `sums` rounded to bf16, in memory at `room`; fp32 stays where it is.
inline View rounded(View sums, float*) {
  return sums;
}
inline Matrix<uint16_t> rounded(View sums, uint16_t* room) {
  const Matrix<uint16_t> result{room, sums.rows, sums.cols, sums.cols};
  for (int64_t i = 0; i < sums.rows; ++i) store_row(result.row(i), sums.row(i), sums.cols);
  return result;
}

/// Rounds sums to a result of another type.
inline void round_into(Matrix<uint16_t> result, View sums) {
  vectorized([&] {
    for (int64_t i = 0; i < sums.rows; ++i) store_row(result.row(i), sums.row(i), sums.cols);
  });
}

/// The softmax of the first `visible` entries of a row of scores times `scale`; sets the rest to 0. Returns log
/// sum exp.
inline float causal_softmax(float* row, int64_t visible, int64_t n, float scale) {
#pragma omp simd
  for (int64_t j = 0; j < visible; ++j) row[j] *= scale;
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
template <typename T>
void attend(Matrix<T> out, float* lse, Matrix<T> q, Matrix<T> k, Matrix<T> v, int64_t first, float scale,
            const Dropout& dropout, int64_t row0) {
  const int64_t keys = k.rows, d = q.cols;
  constexpr bool kNarrow = !std::is_same_v<T, float>;
  float* memory = thread_scratch(q.rows * keys + keys + (kNarrow ? q.rows * (keys + d) : 0));
  const View p{memory, q.rows, keys, keys};
  float *factor = memory + q.rows * keys, *more = factor + keys;
  product(p, q, false, k, true);
  Matrix<T> probabilities;
  vectorized([&] {
    for (int64_t i = 0; i < q.rows; ++i) {
      float* row = p.row(i);
      const float row_lse = causal_softmax(row, first + i + 1, keys, scale);
      if (lse != nullptr) lse[i] = row_lse;
      if (dropout.p > 0.0f) {
        dropout_factors(factor, keys, row0 + i, dropout);
#pragma omp simd
        for (int64_t j = 0; j < keys; ++j) row[j] *= factor[j];
      }
    }
    probabilities = rounded(p, reinterpret_cast<T*>(more));
  });
  if constexpr (kNarrow) {
    const View sums{more + q.rows * keys, q.rows, d, d};
    product(sums, probabilities, false, v, false);
    round_into(out, sums);
  } else {
    product(out, probabilities, false, v, false);
  }
}

/// One head of one sequence inside the [B,T,3E] and [B,T,E] tensors.
template <typename T>
struct Head {
  Matrix<T> q, k, v;
  int64_t index;  // b H + h

  Head(Tensor qkv, int heads, int64_t bh) : index(bh) {
    const int64_t seq_len = qkv.dim(1), width = qkv.dim(2) / 3, d = width / heads;
    T* base = elements<T>(qkv) + bh / heads * seq_len * 3 * width + bh % heads * d;
    q = {base, seq_len, d, 3 * width};
    k = {base + width, seq_len, d, 3 * width};
    v = {base + 2 * width, seq_len, d, 3 * width};
  }
};

template <typename T>
Matrix<T> head_of(Tensor out, int heads, int64_t bh) {
  const int64_t seq_len = out.dim(1), width = out.dim(2), d = width / heads;
  return {elements<T>(out) + bh / heads * seq_len * width + bh % heads * d, seq_len, d, width};
}

/// Computes dq of one block of queries, and dk and dv, which it adds to unless `first_write`. `memory` has room
/// for 3 [rows,keys] matrices and a row.
template <typename T>
void attend_backward(View dq, View dk, View dv, const Head<T>& head, Matrix<T> out, Matrix<T> dout,
                     const float* lse, int64_t first, bool first_write, float scale, const Dropout& dropout,
                     float* memory) {
  const int64_t rows = dq.rows, seq_len = head.q.rows, keys = first + rows, d = head.q.cols;
  const View p{memory, rows, keys, keys}, dp{memory + rows * keys, rows, keys, keys};
  auto* room = reinterpret_cast<T*>(memory + 2 * rows * keys);
  float* factor = memory + 3 * rows * keys;
  const Matrix<T> q = head.q.slice(first, rows), k = head.k.slice(0, keys), v = head.v.slice(0, keys);
  const Matrix<T> o = out.slice(first, rows), g = dout.slice(first, rows);

  product(p, q, false, k, true);
  product(dp, g, false, v, true);
  Matrix<T> probabilities, dscores;
  vectorized([&] {
    for (int64_t i = 0; i < rows; ++i) {
      float *pi = p.row(i), *dpi = dp.row(i);
      const int64_t visible = first + i + 1;
      const float row_lse = lse[first + i];
#pragma omp simd
      for (int64_t j = 0; j < visible; ++j) pi[j] = exp_fast(scale * pi[j] - row_lse);
      for (int64_t j = visible; j < keys; ++j) pi[j] = 0.0f;
      // sum_j P_ij dP_ij equals dO_i . O_i, with or without dropout.
      float dot = 0.0f;
      const T *gi = g.row(i), *oi = o.row(i);
#pragma omp simd reduction(+ : dot)
      for (int64_t e = 0; e < d; ++e) dot += load(gi + e) * load(oi + e);
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
    probabilities = rounded(p, room);
    dscores = rounded(dp, room + rows * keys);
  });
  product(dv.slice(0, keys), probabilities, true, g, false, !first_write);
  product(dq, dscores, false, k, false);
  product(dk.slice(0, keys), dscores, true, q, false, !first_write);
}

/// Computes the gradients of one head. Those in bf16 are sums in fp32 until the end.
template <typename T>
void attend_backward(const Head<T>& grad, const Head<T>& head, Matrix<T> out, Matrix<T> dout,
                     const float* lse, const Dropout& dropout) {
  const int64_t seq_len = head.q.rows, d = head.q.cols, blocks = (seq_len + kBlock - 1) / kBlock;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  constexpr bool kNarrow = !std::is_same_v<T, float>;
  float* memory = thread_scratch(3 * kBlock * seq_len + seq_len + (kNarrow ? 3 * seq_len * d : 0));
  View dq, dk, dv;
  if constexpr (kNarrow) {
    float* sums = memory + 3 * kBlock * seq_len + seq_len;
    dq = {sums, seq_len, d, d};
    dk = {sums + seq_len * d, seq_len, d, d};
    dv = {sums + 2 * seq_len * d, seq_len, d, d};
  } else {
    dq = grad.q;
    dk = grad.k;
    dv = grad.v;
  }
  // The last block attends to every key, so it comes first and overwrites dk and dv instead of adding to them.
  for (int64_t block = blocks - 1; block >= 0; --block) {
    const int64_t first = block * kBlock, rows = std::min(kBlock, seq_len - first);
    attend_backward(dq.slice(first, rows), dk, dv, head, out, dout, lse, first, block == blocks - 1, scale,
                    dropout, memory);
  }
  if constexpr (kNarrow) {
    round_into(grad.q, dq);
    round_into(grad.k, dk);
    round_into(grad.v, dv);
  }
}

}  // namespace

void attention(ThreadPool& threads, Tensor out, Tensor lse, Tensor qkv, int heads, const Dropout& dropout) {
  check::attention(out, lse, qkv, heads, dropout);
  if (qkv.dtype() == DType::kBF16 && !multiplies_bf16()) {
    InFp32 fp32(threads);
    return attention(threads, fp32.write(out), lse, fp32.read(qkv), heads, dropout);
  }
  const int64_t batch = qkv.dim(0), seq_len = qkv.dim(1);
  const int64_t blocks = (seq_len + kBlock - 1) / kBlock;
  with_elements(qkv, [&](auto element) {
    using T = decltype(element);
    threads.run(batch * heads * blocks, [&](int64_t task) {
      const Head<T> head(qkv, heads, task / blocks);
      const Matrix<T> head_out = head_of<T>(out, heads, head.index);
      const int64_t first = task % blocks * kBlock, rows = std::min(kBlock, seq_len - first);
      const float scale = 1.0f / std::sqrt(static_cast<float>(head.q.cols));
      attend(head_out.slice(first, rows), lse.f32() + head.index * seq_len + first, head.q.slice(first, rows),
             head.k.slice(0, first + rows), head.v.slice(0, first + rows), first, scale, dropout,
             head.index * seq_len + first);
    });
  });
}

void attention_backward(ThreadPool& threads, Tensor dqkv, Tensor dout, Tensor qkv, Tensor out, Tensor lse,
                        int heads, const Dropout& dropout, Tensor dqkv_sums) {
  check::attention_backward(dqkv, dout, qkv, out, lse, heads, dropout, dqkv_sums);
  if (qkv.dtype() == DType::kBF16 && !multiplies_bf16()) {
    InFp32 fp32(threads);
    return attention_backward(threads, fp32.write(dqkv), fp32.read(dout), fp32.read(qkv), fp32.read(out), lse,
                              heads, dropout, dqkv_sums);
  }
  const int64_t batch = qkv.dim(0), seq_len = qkv.dim(1);
  with_elements(qkv, [&](auto element) {
    using T = decltype(element);
    threads.run(batch * heads, [&](int64_t bh) {
      attend_backward(Head<T>(dqkv, heads, bh), Head<T>(qkv, heads, bh), head_of<T>(out, heads, bh),
                      head_of<T>(dout, heads, bh), lse.f32() + bh * seq_len, dropout);
    });
    if (dqkv_sums) add_column_sums<T>(threads, dqkv_sums.f32(), dqkv.reshape({batch * seq_len, qkv.dim(2)}));
  });
}

}  // namespace hipgpt::cpu
