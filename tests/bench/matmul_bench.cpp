// Speed of matrix products, y = x W, dx = dy W^T and dW += x^T dy, at the shapes of GPT-2 and of small
// models.
//
//     matmul_bench [DEVICE] [THREADS]
//
// Prints one JSON object a product, with the median over several rounds of a recorded sequence of them.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "device.h"

using namespace hipgpt;

namespace {

using Op = Device::Op;

struct Product {
  const char* name;
  int64_t m, n, k;
  Op op_a, op_b;
  bool accumulate;
};

/// The three products of a layer's weight W [in,out] for `rows` rows.
void add_weight(std::vector<Product>& products, int64_t rows, int64_t in, int64_t out) {
  products.push_back({"y", rows, out, in, Op::kNone, Op::kNone, false});
  products.push_back({"dx", rows, in, out, Op::kNone, Op::kTranspose, false});
  products.push_back({"dW", in, out, rows, Op::kTranspose, Op::kNone, true});
}

class Matrix {
 public:
  Matrix(Device& device, int64_t rows, int64_t columns)
      : memory_(device, static_cast<size_t>(rows * columns) * sizeof(float)),
        tensor_(memory_.data(), {rows, columns}) {
    std::mt19937 generator(1);
    std::vector<float> values(static_cast<size_t>(rows * columns));
    for (float& v : values) v = static_cast<float>(generator()) * 0x1p-31f - 1.0f;
    device.copy_to_device(tensor_, values.data());
  }
  Tensor tensor() const { return tensor_; }

 private:
  Buffer memory_;
  Tensor tensor_;
};

double median_us(Device& device, const Product& p) {
  const Matrix a(device, p.op_a == Op::kNone ? p.m : p.k, p.op_a == Op::kNone ? p.k : p.m);
  const Matrix b(device, p.op_b == Op::kNone ? p.k : p.n, p.op_b == Op::kNone ? p.n : p.k);
  const Matrix c(device, p.m, p.n);
  const double flops = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  const int repeats = std::clamp(static_cast<int>(4e11 / flops), 1, 100);
  const auto sequence = device.record([&] {
    for (int i = 0; i < repeats; ++i)
      device.matmul(c.tensor(), a.tensor(), p.op_a, b.tensor(), p.op_b, p.accumulate);
  });
  float waited_for = 0.0f;
  std::vector<double> times;
  for (int round = 0; round < 8; ++round) {
    const auto start = std::chrono::steady_clock::now();
    sequence->run();
    device.copy_to_host(&waited_for, c.tensor().rows(0, 1).reshape({p.n}).rows(0, 1));
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    if (round > 0) times.push_back(time.count() / repeats);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const auto device = make_device(argc > 1 ? argv[1] : "auto", argc > 2 ? std::atoi(argv[2]) : 0);
  std::vector<Product> products;
  for (const int64_t out : {2304, 768, 3072}) add_weight(products, 8192, 768, out);  // GPT-2's layers, B=8
  add_weight(products, 8192, 3072, 768);
  for (const int64_t out : {1152, 384, 1536}) add_weight(products, 16384, 384, out);  // nanoGPT's, B=64
  add_weight(products, 16384, 1536, 384);
  products.push_back({"square", 4096, 4096, 4096, Op::kNone, Op::kNone, false});
  for (const Product& p : products) {
    const double us = median_us(*device, p);
    const double tflops =
        2e-6 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k) / us;
    std::printf("{\"what\": \"%s\", \"m\": %lld, \"n\": %lld, \"k\": %lld, \"us\": %.1f, \"tflops\": %.2f}\n",
                p.name, static_cast<long long>(p.m), static_cast<long long>(p.n), static_cast<long long>(p.k),
                us, tflops);
    std::fflush(stdout);
  }
}
