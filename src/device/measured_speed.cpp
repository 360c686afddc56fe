#include "device/measured_speed.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace hipgpt {

double seconds_of(Device& device, const std::function<void()>& f) {
  const Buffer memory(device, 4);
  const Tensor one(memory.data(), {1}, DType::kI32);
  const auto time = [&](Device::Graph& graph) {
    int32_t waited_for = 0;
    const auto start = std::chrono::steady_clock::now();
    graph.replay();
    device.copy_to_host(&waited_for, one);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const auto once = device.capture(f);
  time(*once);
  const int repeats = std::clamp(static_cast<int>(5e-3 / time(*once)), 1, 200);
  const auto many = device.capture([&] {
    for (int i = 0; i < repeats; ++i) f();
  });
  std::vector<double> times;
  for (int round = 0; round < 5; ++round) times.push_back(time(*many) / repeats);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

double copy_speed(Device& device, int64_t floats) {
  const Buffer memory(device, static_cast<size_t>(floats) * 2 * sizeof(float));
  const Tensor all(memory.data(), {2, floats});
  device.set_zero(all);
  const double seconds = seconds_of(device, [&] { device.copy(all.rows(0, 1), all.rows(1, 1)); });
  return 2.0 * static_cast<double>(floats) * sizeof(float) / seconds;
}

namespace {

/// FLOP per second of y = x W with x, W and y [n,n], and the time of one such product.
struct ProductSpeed {
  double flops_per_second, seconds;
};

ProductSpeed product_speed(Device& device, int64_t n, DType dtype) {
  const size_t bytes = dtype_bytes(dtype, n * n);
  const Buffer memory(device, 3 * bytes);
  const auto matrix = [&](size_t i) { return Tensor(memory.data() + i * bytes, {n, n}, dtype); };
  for (size_t i = 0; i < 3; ++i) device.set_zero(matrix(i));
  const double seconds = seconds_of(device, [&] {
    device.linear(matrix(2), matrix(0), {matrix(1), {}}, Activation::kNone, {});
  });
  return {2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / seconds, seconds};
}

}  // namespace

Roofline measure_roofline(Device& device, DType dtype) {
  constexpr int64_t kCopied = int64_t{16} << 20, kLargestProduct = 4096;
  Roofline roofline{.bytes_per_second = copy_speed(device, kCopied)};
  for (int64_t n = 128; n <= kLargestProduct; n *= 2) {
    const ProductSpeed product = product_speed(device, n, dtype);
    roofline.flops_per_second = std::max(roofline.flops_per_second, product.flops_per_second);
    if (product.seconds > 2e-3) break;  // the next one would take eight times as long
  }
  return roofline;
}

}  // namespace hipgpt
