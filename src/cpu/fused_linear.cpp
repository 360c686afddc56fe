// A linear layer with the scale of the LayerNorm before it and the residual connection after it, one after the other:
// with the few rows of a decoding step, all but the weight stays in the cache.
#include <cmath>
#include <vector>

#include "cpu/cpu_device.h"
#include "cpu/elements.h"
#include "cpu/widen.h"
#include "device/check.h"

namespace hipgpt::cpu {

namespace {

constexpr float kEpsilon = 1e-5f;  // of LayerNorm

/// y = x / sqrt(variance of x + epsilon), for each row.
template <typename T>
void scale_rows(T* y, const T* x, int64_t rows, int64_t width) {
  for (int64_t i = 0; i < rows; ++i, x += width, y += width) {
    float sum = 0.0f, squares = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t e = 0; e < width; ++e) sum += load(x + e);
    const float mean = sum / static_cast<float>(width);
#pragma omp simd reduction(+ : squares)
    for (int64_t e = 0; e < width; ++e) squares += (load(x + e) - mean) * (load(x + e) - mean);
    const float rstd = 1.0f / std::sqrt(squares / static_cast<float>(width) + kEpsilon);
#pragma omp simd
    for (int64_t e = 0; e < width; ++e) store(y + e, rstd * load(x + e));
  }
}

}  // namespace

void fused_linear(ThreadPool& threads, Tensor y, Tensor residual, Tensor x, bool scaled, const Linear& layer,
                  Activation act) {
  const bool narrow = layer.layout == Layout::kOutIn && is_narrow(x, layer.weight);
  check::fused_linear(y, residual, x, scaled,
                      narrow ? Linear{in_fp32(layer.weight), layer.bias, layer.layout} : layer, act);
  const int64_t rows = x.dim(0), in = x.dim(1);
  std::vector<float> scratch(scaled ? static_cast<size_t>(rows * in) : 0);
  Tensor input = x;
  if (scaled) {
    input = Tensor(scratch.data(), {rows, in}, x.dtype());
    with_elements(x, [&](auto element) {
      using T = decltype(element);
      scale_rows(elements<T>(input), elements<T>(x), rows, in);
    });
  }
  linear(threads, y, input, layer, act, {});
  if (residual) add_dropout(threads, y, residual, y, Dropout{});
}

}  // namespace hipgpt::cpu
