// The kernels of attention_cached.cpp for one row of queries, which includes this file once for each instruction
// set (vec.h). They read keys and values in fp32 or bf16.

/// scores[j] = scale q . k_j for rows k_j [d] that lie `stride` apart.
template <typename Cache>
HIPGPT_TARGET void score_keys(float* scores, const float* q, const Cache* k, int64_t stride, int64_t keys,
                              int64_t d, float scale) {
  for (int64_t j = 0; j < keys; ++j) {
    const Cache* row = k + j * stride;
    Vec total = zero();
    int64_t e = 0;
    for (; e + kWidth <= d; e += kWidth) total = multiply_add(load(q + e), load(row + e), total);
    float score = sum(total);
    for (; e < d; ++e) score += q[e] * cpu::load(row + e);
    scores[j] = scale * score;
  }
}

/// N vectors of out = sum_j p_j v_j.
template <int N, typename Cache>
HIPGPT_TARGET void add_columns(float* out, const float* p, const Cache* v, int64_t stride, int64_t keys) {
  Vec total[N];
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) total[n] = zero();
  for (int64_t j = 0; j < keys; ++j) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n)
      total[n] = multiply_add(broadcast(p[j]), load(v + j * stride + n * kWidth), total[n]);
  }
#pragma GCC unroll 8
  for (int n = 0; n < N; ++n) store(out + n * kWidth, total[n]);
}

/// out = sum_j p_j v_j for rows v_j [d] that lie `stride` apart.
template <typename Cache>
HIPGPT_TARGET void add_values(float* out, const float* p, const Cache* v, int64_t stride, int64_t keys,
                              int64_t d) {
  int64_t e = 0;
  for (; e + 4 * kWidth <= d; e += 4 * kWidth) add_columns<4>(out + e, p, v + e, stride, keys);
  for (; e + kWidth <= d; e += kWidth) add_columns<1>(out + e, p, v + e, stride, keys);
  for (; e < d; ++e) {
    float total = 0.0f;
    for (int64_t j = 0; j < keys; ++j) total += p[j] * cpu::load(v + j * stride + e);
    out[e] = total;
  }
}
