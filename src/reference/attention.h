// Causal multi-head self-attention (Vaswani et al., NeurIPS 2017).
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>

#include "reference/values.h"

namespace hipgpt::reference {

/// The factor by which dropout multiplies the probability at (b H + h, query, key). It is 1 without dropout.
using DropoutFactor = std::function<double(int64_t, int64_t, int64_t)>;

/// Shapes, and the indices of a head's elements.   qkv [B,T,3E]: Q, K and V side by side; D = E/H.
struct AttentionShape {
  int64_t B, T, H, E;

  int64_t D() const { return E / H; }
  double scale() const { return 1 / std::sqrt(static_cast<double>(D())); }
  /// Index in qkv of channel d of Q (part 0), K (1) or V (2) of token t.
  int64_t at(int64_t b, int64_t h, int64_t t, int part, int64_t d) const {
    return (b * T + t) * 3 * E + part * E + h * D() + d;
  }
  /// The same index in the output [B,T,E].
  int64_t at(int64_t b, int64_t h, int64_t t, int64_t d) const { return (b * T + t) * E + h * D() + d; }
};

/// Returns row i of a head's probabilities, [i+1]:   p[j] = exp(s[j]) / sum_j exp(s[j]) with
/// s[j] = q_i . k_j / sqrt(D), for the keys j <= i: a token attends to itself and earlier tokens. Subtracting
/// the largest score first changes no probability and keeps exp() in range.
inline Values attention_probabilities(const Values& qkv, const AttentionShape& s, int64_t b, int64_t h,
                                      int64_t i) {
  Values p(i + 1, 0.0);
  for (int64_t j = 0; j <= i; ++j) {
    for (int64_t d = 0; d < s.D(); ++d) p[j] += qkv[s.at(b, h, i, 0, d)] * qkv[s.at(b, h, j, 1, d)];
    p[j] *= s.scale();
  }
  const double largest = *std::max_element(p.begin(), p.end());
  double total = 0;
  for (double& v : p) total += v = std::exp(v - largest);
  for (double& v : p) v /= total;
  return p;
}

/// o_i = sum_j f_ij p_ij v_j for each head, with the factors f of dropout.   qkv [B,T,3E] -> o [B,T,E].
/// Attention over a cache of keys and values computes the same sum, but only for the rows i of new tokens.
inline Values attention(
    const Values& qkv, int64_t B, int64_t T, int64_t H, int64_t E,
    const DropoutFactor& factor = [](auto...) { return 1.0; }) {
  const AttentionShape s{B, T, H, E};
  Values out(B * T * E, 0.0);
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t h = 0; h < H; ++h) {
      for (int64_t i = 0; i < T; ++i) {
        const Values p = attention_probabilities(qkv, s, b, h, i);
        for (int64_t j = 0; j <= i; ++j) {
          const double weight = factor(b * H + h, i, j) * p[j];
          for (int64_t d = 0; d < s.D(); ++d) out[s.at(b, h, i, d)] += weight * qkv[s.at(b, h, j, 2, d)];
        }
      }
    }
  }
  return out;
}

/// Computes dqkv [B,T,3E] from dout [B,T,E], backwards through the steps of each row i:
///   output:   dv_j += f_ij p_ij do_i,   dp_ij = f_ij do_i . v_j
///   softmax:  ds_ij = p_ij (dp_ij - sum_k p_ik dp_ik)
///   scores:   dq_i += ds_ij k_j / sqrt(D),   dk_j += ds_ij q_i / sqrt(D).
inline Values attention_backward(
    const Values& qkv, const Values& dout, int64_t B, int64_t T, int64_t H, int64_t E,
    const DropoutFactor& factor = [](auto...) { return 1.0; }) {
  const AttentionShape s{B, T, H, E};
  Values dqkv(qkv.size(), 0.0);
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t h = 0; h < H; ++h) {
      for (int64_t i = 0; i < T; ++i) {
        const Values p = attention_probabilities(qkv, s, b, h, i);
        Values dp(i + 1, 0.0);
        double mean_dp = 0;  // weighted by p
        for (int64_t j = 0; j <= i; ++j) {
          const double f = factor(b * H + h, i, j);
          for (int64_t d = 0; d < s.D(); ++d) {
            dqkv[s.at(b, h, j, 2, d)] += f * p[j] * dout[s.at(b, h, i, d)];
            dp[j] += f * dout[s.at(b, h, i, d)] * qkv[s.at(b, h, j, 2, d)];
          }
          mean_dp += p[j] * dp[j];
        }
        for (int64_t j = 0; j <= i; ++j) {
          const double ds = p[j] * (dp[j] - mean_dp) * s.scale();
          for (int64_t d = 0; d < s.D(); ++d) {
            dqkv[s.at(b, h, i, 0, d)] += ds * qkv[s.at(b, h, j, 1, d)];
            dqkv[s.at(b, h, j, 1, d)] += ds * qkv[s.at(b, h, i, 0, d)];
          }
        }
      }
    }
  }
  return dqkv;
}

}  // namespace hipgpt::reference
