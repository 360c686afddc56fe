// Measures the operations of a training step of GPT-2, one by one, at B=32 T=1024. matmul_bench measures plain
// products.
//
//     operations_bench [DEVICE] [THREADS] [f32 | bf16] [B T H D V]
//
// Prints one JSON object per operation: the median time over several rounds of a captured graph, the
// floating-point operations, and the bytes it must at least read and write. compare_operations_gpu.py compares
// them with PyTorch's and with the limits of the GPU.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "bench.h"

using namespace hipgpt;

namespace {

struct Sizes {
  int64_t B = 32, T = 1024, H = 12, D = 64, V = 50257;
};

class OperationsBench {
 public:
  OperationsBench(Device& device, DType dtype, const Sizes& sizes)
      : device_(device), dtype_(dtype), s_(sizes) {}

  void run() {
    normalization();
    attention();
    feed_forward();
    embedding();
    loss();
    optimizer();
  }

 private:
  /// Bytes of matrices with this many elements.
  double matrices(double elements) const { return elements * static_cast<double>(dtype_bytes(dtype_, 1)); }

  void measure(const char* name, double flops, double bytes, const std::function<void()>& f) {
    f();  // a first call may set up the device
    const double us = median_us(device_, 20, f);
    std::printf("{\"operation\": \"%s\", \"us\": %.1f, \"gflop\": %.3f, \"mb\": %.2f}\n", name, us,
                1e-9 * flops, 1e-6 * bytes);
    std::fflush(stdout);
  }

  void normalization() {
    Operands o(device_);
    const Tensor x = o.random({R, E}, dtype_), branch = o.random({R, E}, dtype_), y = o.zeros({R, E}, dtype_),
                 sum = o.zeros({R, E}, dtype_), dx = o.zeros({R, E}, dtype_);
    const Norm norm{o.random({E}, DType::kF32), o.random({E}, DType::kF32)},
        gradients{o.zeros({E}), o.zeros({E})};
    const NormStats stats{o.zeros({R}), o.zeros({R})};
    const Tensor sums = o.zeros({E});
    measure("layernorm", 8 * RE, matrices(2 * RE), [&] { device_.layernorm(y, stats, x, norm); });
    measure("residual_layernorm", 9 * RE, matrices(4 * RE),
            [&] { device_.residual_layernorm(sum, y, stats, x, branch, {}, norm); });
    measure("layernorm_backward", 12 * RE, matrices(4 * RE),
            [&] { device_.layernorm_backward(dx, gradients, branch, x, norm, stats, sums); });
  }

  void attention() {
    Operands o(device_);
    const Tensor qkv = o.random({s_.B, s_.T, 3 * E}, dtype_), out = o.zeros({s_.B, s_.T, E}, dtype_),
                 lse = o.zeros({s_.B, s_.H, s_.T}), dout = o.random({s_.B, s_.T, E}, dtype_),
                 dqkv = o.zeros({s_.B, s_.T, 3 * E}, dtype_), sums = o.zeros({3 * E});
    const Dropout dropout{.p = 0.2f, .seed = 1, .micro_step = o.zeros({1}, DType::kI32), .site = 1};
    const int heads = static_cast<int>(s_.H);
    const double scores = static_cast<double>(s_.B * s_.H * s_.T) * static_cast<double>(s_.T) / 2;
    const double product = 2 * scores * static_cast<double>(s_.D);
    for (const Dropout& d : {Dropout{}, dropout}) {
      const bool drops = d.p > 0.0f;
      measure(drops ? "attention, dropout" : "attention", 2 * product, matrices(4 * RE),
              [&] { device_.attention(out, lse, qkv, heads, d); });
      measure(drops ? "attention_backward, dropout" : "attention_backward", 5 * product, matrices(8 * RE),
              [&] { device_.attention_backward(dqkv, dout, qkv, out, lse, heads, d, sums); });
    }
  }

  void feed_forward() {
    Operands o(device_);
    const int64_t F = 4 * E;
    const Tensor x = o.random({R, E}, dtype_), w1 = o.random({E, F}, dtype_, 0.1f),
                 b1 = o.random({F}, DType::kF32), slope = o.zeros({R, F}, dtype_),
                 hidden = o.zeros({R, F}, dtype_), w2 = o.random({F, E}, dtype_, 0.1f),
                 b2 = o.random({E}, DType::kF32), y = o.random({R, E}, dtype_), dz = o.zeros({R, F}, dtype_),
                 dx = o.zeros({R, E}, dtype_);
    // The sums of dz are the gradient of the first bias, and LayerNorm's gradient has that of the second.
    const Linear first{w1, b1}, second{w2, b2}, first_gradients{o.zeros({E, F}), {}},
        second_gradients{o.zeros({F, E}), {}};
    const Tensor sums = o.zeros({F});
    const double flops = 2 * RE * static_cast<double>(F), RF = 4 * RE, weights = static_cast<double>(E * F);
    measure("linear, bias and GELU", flops, matrices(RE + 2 * RF + weights),
            [&] { device_.linear(hidden, x, first, Activation::kGelu, slope); });
    measure("linear_backward, GELU's slope", 2 * flops, matrices(RE + 3 * RF + weights) + 4 * weights,
            [&] { device_.linear_backward(dz, second_gradients, y, hidden, second, slope, sums); });
    measure("linear_backward", 2 * flops, matrices(2 * RE + RF + weights) + 4 * weights,
            [&] { device_.linear_backward(dx, first_gradients, dz, x, first, {}, {}); });
  }

  void embedding() {
    Operands o(device_);
    const Tensor y = o.random({R, E}, dtype_), tokens = o.random_ids({s_.B, s_.T}, static_cast<int>(s_.V)),
                 wte = o.random({s_.V, E}, dtype_), wpe = o.random({s_.T, E}, dtype_);
    const Tensor dwte = o.zeros({s_.V, E}), dwpe = o.zeros({s_.T, E});
    measure("embedding", RE, matrices(2 * RE), [&] { device_.embedding(y, tokens, wte, wpe, {}); });
    measure("embedding_backward", 2 * RE, matrices(RE) + 8 * RE,
            [&] { device_.embedding_backward(dwte, dwpe, y, tokens); });
  }

  void loss() {
    Operands o(device_);
    const int64_t rows = std::min<int64_t>(R, 2048),
                  pitch = dtype_ == DType::kBF16 ? (s_.V + 63) / 64 * 64 : s_.V;
    const Tensor padded = o.random({rows, pitch}, dtype_);
    const Tensor logits = Tensor(padded.data(), {rows, s_.V}, dtype_).with_pitch(pitch);
    const Tensor losses = o.zeros({rows}), targets = o.random_ids({rows}, static_cast<int>(s_.V));
    const auto z = static_cast<double>(rows * s_.V);
    measure("cross_entropy_with_gradient", 6 * z, matrices(2 * z),
            [&] { device_.cross_entropy_with_gradient(losses, logits, targets, 1e-4f); });
  }

  void optimizer() {
    Operands o(device_);
    const int64_t n = 124'439'808;
    const auto count = static_cast<double>(n);
    const Tensor params = o.zeros({n}), grads = o.zeros({n}), m = o.zeros({n}), v = o.zeros({n}),
                 norm = o.zeros({1}), rates = o.random({3}, DType::kF32);
    const Tensor rounded = dtype_ == DType::kBF16 ? o.zeros({n}, DType::kBF16) : Tensor{};
    measure("l2_norm", 2 * count, 4 * count, [&] { device_.l2_norm(norm, grads); });
    measure("adamw", 12 * count, (rounded ? 30 : 28) * count,
            [&] { device_.adamw(params, rounded, grads, m, v, norm, rates, {}); });
  }

  Device& device_;
  const DType dtype_;
  const Sizes s_;
  const int64_t R = s_.B * s_.T, E = s_.H * s_.D;
  const double RE = static_cast<double>(R * E);
};

}  // namespace

int main(int argc, char** argv) {
  const auto device = make_device(argc > 1 ? argv[1] : "auto", argc > 2 ? std::atoi(argv[2]) : 0);
  const DType dtype = argc > 3 && std::string(argv[3]) == "bf16" ? DType::kBF16 : DType::kF32;
  Sizes sizes;
  int64_t* const all[] = {&sizes.B, &sizes.T, &sizes.H, &sizes.D, &sizes.V};
  for (int i = 0; i < 5 && i + 4 < argc; ++i) *all[i] = std::atoll(argv[i + 4]);
  OperationsBench(*device, dtype, sizes).run();
}
