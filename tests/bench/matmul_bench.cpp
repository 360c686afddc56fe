// Measures the matrix products of a linear layer at the shapes of GPT-2 and of small models. The products are
// y = x W, dx = dy W^T, and the whole backward pass, which is dx and dW += x^T dy.
//
//     matmul_bench [DEVICE] [THREADS] [f32 | bf16]
//
// Prints one JSON object per product, with the median over several rounds of a captured graph of them.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "device.h"

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

class Matrix {
 public:
  Matrix(Device& device, int64_t rows, int64_t columns, DType dtype)
      : memory_(device, dtype_bytes(dtype, rows * columns)),
        tensor_(memory_.data(), {rows, columns}, dtype) {
    std::mt19937 generator(1);
    std::vector<uint16_t> halves;
    std::vector<float> values;
    for (int64_t i = 0; i < rows * columns; ++i) {
      const float value = static_cast<float>(generator()) * 0x1p-31f - 1.0f;
      if (dtype == DType::kF32) {
        values.push_back(value);
      } else {
        halves.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
      }
    }
    device.copy_to_device(tensor_,
                          dtype == DType::kF32 ? static_cast<const void*>(values.data()) : halves.data());
  }
  Tensor tensor() const { return tensor_; }

 private:
  Buffer memory_;
  Tensor tensor_;
};

double median_us(Device& device, const Product& p, DType dtype) {
  const Matrix x(device, p.rows, p.in, dtype), w(device, p.in, p.out, dtype), y(device, p.rows, p.out, dtype);
  const Matrix dx(device, p.rows, p.in, dtype), dw(device, p.in, p.out, DType::kF32);
  const Buffer waiting(device, sizeof(float));
  const Tensor one(waiting.data(), {1});
  const Linear layer{w.tensor(), {}}, transposed{w.tensor(), {}, Layout::kOutIn}, gradients{dw.tensor(), {}};
  const int repeats = std::clamp(static_cast<int>(4e11 / p.flops()), 1, 100);
  const auto graph = device.capture([&] {
    for (int i = 0; i < repeats; ++i) {
      switch (p.what) {
        case What::kForward: device.linear(y.tensor(), x.tensor(), layer, Activation::kNone, {}); break;
        case What::kInput: device.linear(dx.tensor(), y.tensor(), transposed, Activation::kNone, {}); break;
        case What::kBackward:
          device.linear_backward(dx.tensor(), gradients, y.tensor(), x.tensor(), layer, Activation::kNone,
                                 {});
      }
    }
  });
  float waited_for = 0.0f;
  std::vector<double> times;
  for (int round = 0; round < 8; ++round) {
    const auto start = std::chrono::steady_clock::now();
    graph->replay();
    device.copy_to_host(&waited_for, one);
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    if (round > 0) times.push_back(time.count() / repeats);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
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
    const double us = median_us(*device, p, dtype);
    std::printf(
        "{\"what\": \"%s\", \"rows\": %lld, \"in\": %lld, \"out\": %lld, \"us\": %.1f, \"tflops\": %.2f}\n",
        p.name, static_cast<long long>(p.rows), static_cast<long long>(p.in), static_cast<long long>(p.out),
        us, 1e-6 * p.flops() / us);
    std::fflush(stdout);
  }
}
