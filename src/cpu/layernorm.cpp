// LayerNorm. The forward pass reads 4 bytes and writes 4 bytes per element and is memory-bound. It reads a
// row repeatedly, but from memory only once; later reads hit the cache.
#include <cmath>

#include "cpu/add_dropout.h"
#include "cpu/column_sums.h"
#include "cpu/cpu_device.h"
#include "cpu/elements.h"
#include "cpu/parallel.h"
#include "device/check.h"

namespace hipgpt::cpu {

namespace {

constexpr float kEpsilon = 1e-5f;

/// y, mean and rstd of rows [begin, end).
template <typename T>
struct Rows {
  T* y;
  float *means, *rstds;
  const T* x;
  const float *weight, *bias;
  int64_t width;

  Rows(const Tensor& y, const NormStats& stats, const Tensor& x, const Norm& norm)
      : y(elements<T>(y)),
        means(stats.mean.f32()),
        rstds(stats.rstd.f32()),
        x(elements<T>(x)),
        weight(norm.weight.f32()),
        bias(norm.bias.f32()),
        width(x.dim(1)) {}

  void operator()(int64_t begin, int64_t end) const {
    T* out = y;
    for (int64_t i = begin; i < end; ++i) {
      const T* row = x + i * width;
      float total = 0.0f;
#pragma omp simd reduction(+ : total)
      for (int64_t e = 0; e < width; ++e) total += load(row + e);
      const float mu = total / static_cast<float>(width);
      float variance = 0.0f;
#pragma omp simd reduction(+ : variance)
      for (int64_t e = 0; e < width; ++e) variance += (load(row + e) - mu) * (load(row + e) - mu);
      const float r = 1.0f / std::sqrt(variance / static_cast<float>(width) + kEpsilon);
#pragma omp simd
      for (int64_t e = 0; e < width; ++e)
        store(out + i * width + e, (load(row + e) - mu) * r * weight[e] + bias[e]);
      means[i] = mu;
      rstds[i] = r;
    }
  }
};

template <typename T>
void backward(ThreadPool& threads, Tensor dx, const Norm& gradients, Tensor dy, Tensor x, const Norm& norm,
              const NormStats& stats) {
  const int64_t rows = x.dim(0), width = x.dim(1);
  const T *grad = elements<T>(dy), *in = elements<T>(x);
  const float* weight = norm.weight.f32();
  const float *means = stats.mean.f32(), *rstds = stats.rstd.f32();
  T* din = elements<T>(dx);
  float *dweight = gradients.weight.f32(), *dbias = gradients.bias.f32();

  parallel_ranges(threads, rows, rows_per_range(width), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T *dyr = grad + i * width, *xr = in + i * width;
      const float mu = means[i], r = rstds[i];
      float sum_g = 0.0f, sum_g_xh = 0.0f;
#pragma omp simd reduction(+ : sum_g, sum_g_xh)
      for (int64_t e = 0; e < width; ++e) {
        const float g = load(dyr + e) * weight[e];
        sum_g += g;
        sum_g_xh += g * (load(xr + e) - mu) * r;
      }
      const float mean_g = sum_g / static_cast<float>(width),
                  mean_g_xh = sum_g_xh / static_cast<float>(width);
      T* out = din + i * width;
#pragma omp simd
      for (int64_t e = 0; e < width; ++e) {
        const float xh = (load(xr + e) - mu) * r;
        store(out + e, load(out + e) + r * (load(dyr + e) * weight[e] - mean_g - xh * mean_g_xh));
      }
    }
  });

  constexpr int64_t kColumns = 32;  // as in add_column_sums(): threads divide the columns
  parallel_ranges(threads, width, kColumns, [=](int64_t begin, int64_t end) {
    float total_w[kColumns] = {}, total_b[kColumns] = {};
    for (int64_t i = 0; i < rows; ++i) {
      const T *dyr = grad + i * width + begin, *xr = in + i * width + begin;
      const float mu = means[i], r = rstds[i];
#pragma omp simd
      for (int64_t e = 0; e < end - begin; ++e) {
        total_w[e] += load(dyr + e) * (load(xr + e) - mu) * r;
        total_b[e] += load(dyr + e);
      }
    }
    for (int64_t e = begin; e < end; ++e) {
      dweight[e] += total_w[e - begin];
      dbias[e] += total_b[e - begin];
    }
  });
}

}  // namespace

void layernorm(ThreadPool& threads, Tensor y, const NormStats& stats, Tensor x, const Norm& norm) {
  check::layernorm(y, stats, x, norm);
  with_elements(x, [&](auto element) {
    parallel_ranges(threads, x.dim(0), rows_per_range(x.dim(1)), Rows<decltype(element)>(y, stats, x, norm));
  });
}

void residual_layernorm(ThreadPool& threads, Tensor sum, Tensor y, const NormStats& stats, Tensor x,
                        Tensor branch, const Dropout& dropout, const Norm& norm) {
  check::residual_layernorm(sum, y, stats, x, branch, dropout, norm);
  with_elements(x, [&](auto element) {
    using T = decltype(element);
    // The sum of a few rows is normalized while it is in the cache.
    const AddDropout<T> add(sum, x, branch, dropout);
    const Rows<T> normalize(y, stats, sum, norm);
    parallel_ranges(threads, x.dim(0), rows_per_range(x.dim(1)), [&](int64_t begin, int64_t end) {
      add(begin, end);
      normalize(begin, end);
    });
  });
}

void layernorm_backward(ThreadPool& threads, Tensor dx, const Norm& gradients, Tensor dy, Tensor x,
                        const Norm& norm, const NormStats& stats, Tensor dx_sums) {
  check::layernorm_backward(dx, gradients, dy, x, norm, stats, dx_sums);
  with_elements(x, [&](auto element) {
    using T = decltype(element);
    backward<T>(threads, dx, gradients, dy, x, norm, stats);
    if (dx_sums) add_column_sums<T>(threads, dx_sums.f32(), dx);
  });
}

}  // namespace hipgpt::cpu
