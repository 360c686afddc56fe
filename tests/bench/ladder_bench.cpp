// Measures the rungs of the guide's ladders (src/hip/ladder), and last the library's own kernels, on a GPU.
//
//     ladder_bench [DEVICE]
//
// Prints three Markdown tables. LayerNorm counts 8 bytes an element, the least that it can move. So a rung
// that reads x three times shows less than the bandwidth of memory.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "device.h"
#include "hip/ladder/ladder.h"

using namespace hipgpt;

namespace {

using hip::ladder::wait;

class Array {
 public:
  Array(Device& device, int64_t rows, int64_t columns)
      : memory_(device, static_cast<size_t>(rows * columns) * sizeof(float)),
        tensor_(memory_.data(), {rows, columns}) {
    std::mt19937 generator(1);
    std::vector<float> values(static_cast<size_t>(rows * columns));
    for (float& v : values) v = static_cast<float>(generator()) * 0x1p-31f - 1.0f;
    device.copy_to_device(tensor_, values.data());
    wait();
  }
  Tensor tensor() const { return tensor_; }
  float* data() const { return tensor_.f32(); }

 private:
  Buffer memory_;
  Tensor tensor_;
};

/// The median time of f() in microseconds. Each round calls it often enough for about 20 ms.
double median_us(const std::function<void()>& f) {
  const auto round_us = [&](int calls) {
    wait();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) f();
    wait();
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    return time.count() / calls;
  };
  round_us(1);
  const int calls = std::clamp(static_cast<int>(2e4 / round_us(1)), 1, 200);
  std::vector<double> times;
  for (int round = 0; round < 9; ++round) times.push_back(round_us(calls));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

std::vector<float> values_of(Device& device, const Array& array) {
  wait();
  std::vector<float> values(static_cast<size_t>(array.tensor().size()));
  device.copy_to_host(values.data(), array.tensor());
  return values;
}

/// Throws if a rung's result is not that of the library's kernel.
void check(const char* rung, const std::vector<float>& actual, const std::vector<float>& expected) {
  for (size_t i = 0; i < actual.size(); ++i) {
    if (std::abs(actual[i] - expected[i]) <= 1e-2f) continue;
    throw std::runtime_error(std::string(rung) + ": element " + std::to_string(i) + " is " +
                             std::to_string(actual[i]) + ", and the library's is " +
                             std::to_string(expected[i]));
  }
}

struct Row {
  std::string name;
  double us;
};

/// `work`: bytes or operations of one call, printed in units of 1e9 or 1e12 a second.
void print(const char* title, const std::vector<Row>& rows, double work, double unit, const char* unit_name) {
  std::printf("\n%s\n\n| rung | us | %s | times the first |\n|---|---|---|---|\n", title, unit_name);
  for (const Row& row : rows)
    std::printf("| %s | %.1f | %.2f | %.1f |\n", row.name.c_str(), row.us, work / (1e-6 * row.us) / unit,
                rows[0].us / row.us);
  std::fflush(stdout);
}

void layernorm(Device& device, int rows, int E) {
  const Array x(device, rows, E), y(device, rows, E), w(device, 1, E), b(device, 1, E),
      stats(device, 2, rows);
  const Norm norm{Tensor(w.data(), {E}), Tensor(b.data(), {E})};
  const NormStats kept{Tensor(stats.data(), {rows}), Tensor(stats.data() + rows, {rows})};
  const auto library = [&] { device.layernorm(y.tensor(), kept, x.tensor(), norm); };
  library();
  const std::vector<float> expected = values_of(device, y);
  std::vector<Row> table;
  for (const auto& rung : hip::ladder::layernorm_rungs()) {
    device.set_zero(y.tensor());
    table.push_back(
        {rung.name, median_us([&] { rung.run(y.data(), x.data(), w.data(), b.data(), rows, E); })});
    check(rung.name, values_of(device, y), expected);
  }
  table.push_back({"the library's, which keeps mean and rstd", median_us(library)});
  const std::string title = "LayerNorm of " + std::to_string(rows) + " x " + std::to_string(E) + ", fp32";
  print(title.c_str(), table, 8.0 * rows * E, 1e9, "GB/s");
}

void matmul(Device& device, int size) {
  const Array a(device, size, size), b(device, size, size), c(device, size, size);
  const auto library = [&] {
    device.linear(c.tensor(), a.tensor(), Linear{b.tensor(), {}}, Activation::kNone, {});
  };
  library();
  const std::vector<float> expected = values_of(device, c);
  std::vector<Row> table;
  for (const auto& rung : hip::ladder::matmul_rungs()) {
    device.set_zero(c.tensor());
    table.push_back(
        {rung.name, median_us([&] { rung.run(c.data(), a.data(), b.data(), size, size, size); })});
    check(rung.name, values_of(device, c), expected);
  }
  table.push_back({"the library's", median_us(library)});
  const std::string title =
      "C = A B, all of them " + std::to_string(size) + " x " + std::to_string(size) + ", fp32";
  print(title.c_str(), table, 2.0 * size * size * size, 1e12, "TFLOP/s");
}

void attention(Device& device, int B, int T) {
  const int H = 12, D = 64, E = H * D;
  const Array qkv(device, B * T, 3 * E), out(device, B * T, E), lse(device, B * H, T);
  const Buffer scratch(device, static_cast<size_t>(B) * H * T * T * sizeof(float));
  auto* const scores = reinterpret_cast<float*>(scratch.data());
  const Tensor inputs(qkv.data(), {B, T, 3 * E}), result(out.data(), {B, T, E}), rows(lse.data(), {B, H, T});
  const auto library = [&] { device.attention(result, rows, inputs, H, {}); };
  library();
  const std::vector<float> expected = values_of(device, out);
  std::vector<Row> table;
  for (const auto& rung : hip::ladder::attention_rungs()) {
    device.set_zero(out.tensor());
    table.push_back({rung.name, median_us([&] { rung.run(out.data(), scores, qkv.data(), B, T, H, D); })});
    check(rung.name, values_of(device, out), expected);
  }
  table.push_back({"the library's", median_us(library)});
  const std::string title =
      "Causal attention, B=" + std::to_string(B) + " T=" + std::to_string(T) + " H=12 D=64, fp32";
  print(title.c_str(), table, 2.0 * B * H * T * T * D, 1e12, "TFLOP/s");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto device = make_device(argc > 1 ? argv[1] : "hip", 0);
    const std::string description = device->description();
    std::printf("%s\n", description.c_str());
    // The emulated GPU shows only that the program works.
    const bool emulated = description.find("emulated") != std::string::npos;
    layernorm(*device, emulated ? 64 : 32768, 768);
    matmul(*device, emulated ? 128 : 4096);
    attention(*device, emulated ? 1 : 8, emulated ? 40 : 1024);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ladder_bench: %s\n", error.what());
    return 1;
  }
}
