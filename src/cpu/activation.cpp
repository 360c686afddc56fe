// activation_backward: dx = act'(pre) dy. Reads 8 bytes and writes 4 an element; bound by memory.
#include "cpu/activation.h"

#include <cassert>

#include "cpu/cpu_device.h"
#include "cpu/parallel.h"

namespace hipgpt {

namespace {

template <typename Slope>
void multiply_by_slope(cpu::ThreadPool& threads, Tensor dx, Tensor dy, Tensor pre, Slope slope) {
  float* out = dx.f32();
  const float *in = dy.f32(), *x = pre.f32();
  cpu::parallel_ranges(threads, dx.size(), 8192, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) out[i] = slope(x[i]) * in[i];
  });
}

}  // namespace

void CpuDevice::activation_backward(Tensor dx, Tensor dy, Tensor pre, Activation act) {
  assert(dx.size() == dy.size() && dx.size() == pre.size());
  switch (act) {
    case Activation::kNone: return multiply_by_slope(threads_, dx, dy, pre, [](float) { return 1.0f; });
    case Activation::kRelu:
      return multiply_by_slope(threads_, dx, dy, pre, [](float x) { return cpu::relu_slope(x); });
    case Activation::kGelu:
      return multiply_by_slope(threads_, dx, dy, pre, [](float x) { return cpu::gelu_slope(x); });
  }
}

}  // namespace hipgpt
