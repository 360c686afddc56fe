// LayerNorm. The forward pass reads 4 bytes and writes 4 bytes per element and is memory-bound. It reads a
// row repeatedly, but from memory only once; later reads hit the cache.
#include <cmath>

#include "cpu/bf16.h"
#include "cpu/cpu_device.h"
#include "cpu/parallel.h"
#include "device/check.h"

namespace hipgpt::cpu {

namespace {

constexpr float kEpsilon = 1e-5f;

}  // namespace

void layernorm(ThreadPool& threads, Tensor y, const NormStats& stats, Tensor x, const Norm& norm) {
  check::layernorm(y, stats, x, norm);
  if (x.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return layernorm(threads, fp32.write(y), stats, fp32.read(x), norm);
  }
  const int64_t rows = x.dim(0), width = x.dim(1);
  const float *in = x.f32(), *weight = norm.weight.f32(), *bias = norm.bias.f32();
  float *out = y.f32(), *means = stats.mean.f32(), *rstds = stats.rstd.f32();
  parallel_ranges(threads, rows, rows_per_range(width), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* row = in + i * width;
      float total = 0.0f;
#pragma omp simd reduction(+ : total)
      for (int64_t e = 0; e < width; ++e) total += row[e];
      const float mu = total / static_cast<float>(width);
      float variance = 0.0f;
#pragma omp simd reduction(+ : variance)
      for (int64_t e = 0; e < width; ++e) variance += (row[e] - mu) * (row[e] - mu);
      const float r = 1.0f / std::sqrt(variance / static_cast<float>(width) + kEpsilon);
#pragma omp simd
      for (int64_t e = 0; e < width; ++e) out[i * width + e] = (row[e] - mu) * r * weight[e] + bias[e];
      means[i] = mu;
      rstds[i] = r;
    }
  });
}

void residual_layernorm(ThreadPool& threads, Tensor sum, Tensor y, const NormStats& stats, Tensor x,
                        Tensor branch, const Dropout& dropout, const Norm& norm) {
  check::residual_layernorm(sum, y, stats, x, branch, dropout, norm);
  add_dropout(threads, sum, x, branch, dropout);
  layernorm(threads, y, stats, sum, norm);
}

void layernorm_backward(ThreadPool& threads, Tensor dx, const Norm& gradients, Tensor dy, Tensor x,
                        const Norm& norm, const NormStats& stats) {
  check::layernorm_backward(dx, gradients, dy, x, norm, stats);
  if (x.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return layernorm_backward(threads, fp32.write(dx), gradients, fp32.read(dy), fp32.read(x), norm, stats);
  }
  const int64_t rows = x.dim(0), width = x.dim(1);
  const float *grad = dy.f32(), *in = x.f32(), *weight = norm.weight.f32();
  const float *means = stats.mean.f32(), *rstds = stats.rstd.f32();
  float *din = dx.f32(), *dweight = gradients.weight.f32(), *dbias = gradients.bias.f32();

  parallel_ranges(threads, rows, rows_per_range(width), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float *dyr = grad + i * width, *xr = in + i * width;
      const float mu = means[i], r = rstds[i];
      float sum_g = 0.0f, sum_g_xh = 0.0f;
#pragma omp simd reduction(+ : sum_g, sum_g_xh)
      for (int64_t e = 0; e < width; ++e) {
        const float g = dyr[e] * weight[e];
        sum_g += g;
        sum_g_xh += g * (xr[e] - mu) * r;
      }
      const float mean_g = sum_g / static_cast<float>(width),
                  mean_g_xh = sum_g_xh / static_cast<float>(width);
#pragma omp simd
      for (int64_t e = 0; e < width; ++e) {
        const float xh = (xr[e] - mu) * r;
        din[i * width + e] += r * (dyr[e] * weight[e] - mean_g - xh * mean_g_xh);
      }
    }
  });

  constexpr int64_t kColumns = 32;  // as in add_column_sums(): threads divide the columns
  parallel_ranges(threads, width, kColumns, [=](int64_t begin, int64_t end) {
    float total_w[kColumns] = {}, total_b[kColumns] = {};
    for (int64_t i = 0; i < rows; ++i) {
      const float *dyr = grad + i * width + begin, *xr = in + i * width + begin;
      const float mu = means[i], r = rstds[i];
      for (int64_t e = 0; e < end - begin; ++e) {
        total_w[e] += dyr[e] * (xr[e] - mu) * r;
        total_b[e] += dyr[e];
      }
    }
    for (int64_t e = begin; e < end; ++e) {
      dweight[e] += total_w[e - begin];
      dbias[e] += total_b[e - begin];
    }
  });
}

}  // namespace hipgpt::cpu
