// Measures the matrix products of a linear layer at the shapes of GPT-2 and of small models. The products are
// y = x W, dx = dy W^T, and the whole backward pass, which is dx and dW += x^T dy.
//
//     matmul_bench [DEVICE] [THREADS] [f32 | bf16]
//
// Prints one JSON object per product, with the median over several rounds of a captured graph of them.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench.h"

using namespace hipgpt;

namespace {

enum class What { kForward, kInput, kBackward };

/// A product of `rows` rows with a weight [in,out].
struct Product {
  const char* name;
  What what;
  int64_t rows, in, out;

  double flops() const {
    const double one = 2.0 * static_cast<double>(rows) * static_cast<double>(in) * static_cast<double>(out);
    return what == What::kBackward ? 2 * one : one;
  }
};

void add_weight(std::vector<Product>& products, int64_t rows, int64_t in, int64_t out) {
  products.push_back({"y", What::kForward, rows, in, out});
  products.push_back({"dx", What::kInput, rows, in, out});
  products.push_back({"dx and dW", What::kBackward, rows, in, out});
}

double time_of(Device& device, const Product& p, DType dtype) {
  Operands operands(device);
  const Tensor x = operands.random({p.rows, p.in}, dtype), w = operands.random({p.in, p.out}, dtype),
               y = operands.random({p.rows, p.out}, dtype), dx = operands.random({p.rows, p.in}, dtype),
               dw = operands.random({p.in, p.out}, DType::kF32);
  const Linear layer{w, {}}, transposed{w, {}, Layout::kOutIn}, gradients{dw, {}};
  return median_us(device, std::clamp(static_cast<int>(4e11 / p.flops()), 1, 100), [&] {
    switch (p.what) {
      case What::kForward: device.linear(y, x, layer, Activation::kNone, {}); break;
      case What::kInput: device.linear(dx, y, transposed, Activation::kNone, {}); break;
      case What::kBackward: device.linear_backward(dx, gradients, y, x, layer, {}, {});
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  const auto device = make_device(argc > 1 ? argv[1] : "auto", argc > 2 ? std::atoi(argv[2]) : 0);
  const bool bf16 = argc > 3 && std::string(argv[3]) == "bf16";
  const DType dtype = bf16 ? DType::kBF16 : DType::kF32;
  std::vector<Product> products;
  const int64_t rows = bf16 ? 32768 : 8192;  // GPT-2's layers, B=32 or 8
  for (const int64_t out : {2304, 768, 3072}) add_weight(products, rows, 768, out);
  add_weight(products, rows, 3072, 768);
  for (const int64_t out : {1152, 384, 1536}) add_weight(products, 16384, 384, out);  // nanoGPT's, B=64
  add_weight(products, 16384, 1536, 384);
  products.push_back({"square", What::kForward, 4096, 4096, 4096});
  for (const Product& p : products) {
    const double us = time_of(*device, p, dtype);
    std::printf(
        "{\"what\": \"%s\", \"rows\": %lld, \"in\": %lld, \"out\": %lld, \"us\": %.1f, \"tflops\": %.2f}\n",
        p.name, static_cast<long long>(p.rows), static_cast<long long>(p.in), static_cast<long long>(p.out),
        us, 1e-6 * p.flops() / us);
    std::fflush(stdout);
  }
}
