// AdamW and the sums it needs. One step reads p, g, m, v and writes p, m, v: 28 bytes and about 15 operations
// per parameter, which makes it memory-bound.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/cpu_device.h"
#include "cpu/elements.h"
#include "cpu/parallel.h"
#include "device/check.h"

namespace hipgpt::cpu {

namespace {

constexpr int64_t kChunk = 8192;

/// sum_i f(x[i]) in double. Sums chunks in parallel, then adds the chunk sums in order.
template <typename F>
double sum_in_chunks(ThreadPool& threads, Tensor x, F f) {
  const int64_t n = x.size();
  const float* in = x.f32();
  thread_local std::vector<double> partial;  // reused, so a training step allocates nothing
  partial.resize(static_cast<size_t>((n + kChunk - 1) / kChunk));
  double* sums = partial.data();
  parallel_ranges(threads, n, kChunk, [&](int64_t begin, int64_t end) {
    constexpr int64_t kLanes = 32;  // several vectors of sums hide the latency of an addition
    double lanes[kLanes] = {};
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
#pragma omp simd
      for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += f(static_cast<double>(in[i + lane]));
    }
    for (; i < end; ++i) lanes[0] += f(static_cast<double>(in[i]));
    for (int64_t lane = 1; lane < kLanes; ++lane) lanes[0] += lanes[lane];
    sums[begin / kChunk] = lanes[0];
  });
  double total = 0.0;
  for (double p : partial) total += p;
  return total;
}

}  // namespace

void round_to_bf16(ThreadPool& threads, Tensor out, Tensor x) {
  check::round_to_bf16(out, x);
  uint16_t* to = out.bf16();
  const float* from = x.f32();
  parallel_ranges(threads, x.size(), kChunk,
                  [=](int64_t begin, int64_t end) { store_row(to + begin, from + begin, end - begin); });
}

void sum(ThreadPool& threads, Tensor out, Tensor x) {
  check::sum(out, x);
  *out.f32() = static_cast<float>(sum_in_chunks(threads, x, [](double v) { return v; }));
}

void l2_norm(ThreadPool& threads, Tensor out, Tensor x) {
  check::l2_norm(out, x);
  *out.f32() = static_cast<float>(std::sqrt(sum_in_chunks(threads, x, [](double v) { return v * v; })));
}

void adamw(ThreadPool& threads, Tensor params, Tensor rounded, Tensor grads, Tensor m, Tensor v,
           Tensor grad_norm, Tensor rates, const AdamW& options) {
  check::adamw(params, rounded, grads, m, v, grad_norm, rates, options);
  const float norm = *grad_norm.f32();
  if (!std::isfinite(norm)) return;
  const float clip =
      options.max_grad_norm > 0.0f && norm > options.max_grad_norm ? options.max_grad_norm / norm : 1.0f;
  const float learning_rate = rates.f32()[0];
  const float rate1 = learning_rate * rates.f32()[1], scale2 = rates.f32()[2];
  const float b1 = options.beta1, b2 = options.beta2, eps = options.epsilon;
  float *p = params.f32(), *m1 = m.f32(), *m2 = v.f32();
  const float* g = grads.f32();

  const auto update = [=](int64_t begin, int64_t end, float decay) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const float gi = clip * g[i];
      m1[i] = b1 * m1[i] + (1.0f - b1) * gi;
      m2[i] = b2 * m2[i] + (1.0f - b2) * gi * gi;
      p[i] = decay * p[i] - rate1 * m1[i] / (std::sqrt(m2[i] * scale2) + eps);
    }
  };
  uint16_t* to = rounded ? rounded.bf16() : nullptr;
  const int64_t count = rounded ? rounded.size() : 0;
  const float decay = 1.0f - learning_rate * options.weight_decay;
  parallel_ranges(threads, params.size(), kChunk, [=](int64_t begin, int64_t end) {
    const int64_t border = std::clamp(options.decayed, begin, end);
    update(begin, border, decay);
    update(border, end, 1.0f);
    if (begin < count) store_row(to + begin, p + begin, std::min(end, count) - begin);
  });
}

}  // namespace hipgpt::cpu
