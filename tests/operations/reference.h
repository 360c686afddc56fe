// The operations of device.h in double precision, as their formulas are written: slow, plain, and what every
// device is held against.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <vector>

#include "device.h"

namespace hipgpt::reference {

using Values = std::vector<double>;

inline double activation(Activation act, double x) {
  if (act == Activation::kRelu) return x > 0 ? x : 0;
  if (act == Activation::kGelu) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  }
  return x;
}

inline double activation_slope(Activation act, double x) {
  return (activation(act, x + 1e-6) - activation(act, x - 1e-6)) / 2e-6;
}

/// C [m,n] = A [m,k] B [k,n], each possibly stored transposed.
inline Values matmul(const Values& a, bool a_transposed, const Values& b, bool b_transposed, int64_t m,
                     int64_t n, int64_t k) {
  Values c(static_cast<size_t>(m * n), 0.0);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t p = 0; p < k; ++p) {
      const double x = a[a_transposed ? p * m + i : i * k + p];
      for (int64_t j = 0; j < n; ++j) c[i * n + j] += x * b[b_transposed ? j * k + p : p * n + j];
    }
  }
  return c;
}

/// x [rows,in] W [in,out] (or [out,in]) + b [out] or none.
inline Values linear(const Values& x, const Values& w, bool w_transposed, const Values& b, int64_t rows,
                     int64_t in, int64_t out) {
  Values y = matmul(x, false, w, w_transposed, rows, out, in);
  for (size_t i = 0; i < y.size() && !b.empty(); ++i) y[i] += b[i % b.size()];
  return y;
}

inline Values layernorm(const Values& x, const Values& w, const Values& b) {
  const size_t width = w.size();
  Values y(x.size());
  for (size_t r = 0; r < x.size(); r += width) {
    double mean = 0, variance = 0;
    for (size_t e = 0; e < width; ++e) mean += x[r + e] / static_cast<double>(width);
    for (size_t e = 0; e < width; ++e) variance += std::pow(x[r + e] - mean, 2) / static_cast<double>(width);
    for (size_t e = 0; e < width; ++e)
      y[r + e] = (x[r + e] - mean) / std::sqrt(variance + 1e-5) * w[e] + b[e];
  }
  return y;
}

/// Factor by which dropout multiplies the probability of (b h, query, key); 1 without dropout.
using DropoutFactor = std::function<double(int64_t, int64_t, int64_t)>;

/// Causal attention: qkv [B,T,3E] -> [B,T,E].
inline Values attention(
    const Values& qkv, int64_t B, int64_t T, int64_t H, int64_t E,
    const DropoutFactor& factor = [](auto...) { return 1.0; }) {
  const int64_t D = E / H;
  Values out(static_cast<size_t>(B * T * E), 0.0), p(static_cast<size_t>(T));
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t h = 0; h < H; ++h) {
      const auto at = [&](int64_t t, int part, int64_t d) {
        return qkv[(b * T + t) * 3 * E + part * E + h * D + d];
      };
      for (int64_t i = 0; i < T; ++i) {
        double total = 0;
        for (int64_t j = 0; j <= i; ++j) {
          double score = 0;
          for (int64_t d = 0; d < D; ++d) score += at(i, 0, d) * at(j, 1, d);
          p[j] = std::exp(score / std::sqrt(static_cast<double>(D)));
          total += p[j];
        }
        for (int64_t j = 0; j <= i; ++j) {
          for (int64_t d = 0; d < D; ++d) {
            out[(b * T + i) * E + h * D + d] += p[j] / total * factor(b * H + h, i, j) * at(j, 2, d);
          }
        }
      }
    }
  }
  return out;
}

/// Loss of each row of logits [rows,V].
inline Values cross_entropy(const Values& logits, const std::vector<int32_t>& targets) {
  const size_t V = logits.size() / targets.size();
  Values losses(targets.size());
  for (size_t r = 0; r < targets.size(); ++r) {
    double top = -1e300, total = 0;
    for (size_t j = 0; j < V; ++j) top = std::max(top, logits[r * V + j]);
    for (size_t j = 0; j < V; ++j) total += std::exp(logits[r * V + j] - top);
    losses[r] = top + std::log(total) - logits[r * V + static_cast<size_t>(targets[r])];
  }
  return losses;
}

inline double dot(const Values& a, const Values& b) {
  double total = 0;
  for (size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

/// df/dx by central differences, element by element.
inline Values central_differences(const std::function<double(const Values&)>& f, Values x, double h = 1e-5) {
  Values gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double middle = x[i];
    x[i] = middle + h;
    const double above = f(x);
    x[i] = middle - h;
    const double below = f(x);
    x[i] = middle;
    gradient[i] = (above - below) / (2 * h);
  }
  return gradient;
}

}  // namespace hipgpt::reference
