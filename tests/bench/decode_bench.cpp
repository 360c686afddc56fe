// Times each operation of a decoding step of GPT-2 124M in bf16, in a captured chain of its kind, as in a step: every
// call reads another weight, more than a cache holds. Prints microseconds a call.
//
//     decode_bench [SEQUENCES] [DEVICE]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "device.h"

namespace {

using namespace hipgpt;

constexpr int64_t E = 768, F = 4 * E, V = 50257, S = 1024;
constexpr int kLayers = 12, kHeads = 12, kWeights = 48;  // 226 MB

class Bench {
 public:
  Bench(Device& device, int64_t rows) : device_(device), rows_(rows) {
    for (int i = 0; i < kWeights; ++i) weights_.push_back(zeros({F, E}));
    for (int i = 0; i < kLayers; ++i) {
      keys_.push_back(zeros({rows, S, E}));
      values_.push_back(zeros({rows, S, E}));
    }
  }

  void run() {
    const int64_t R = rows_;
    const Tensor x = zeros({R, E}), y = zeros({R, E}), qkv = zeros({R, 3 * E}), ff = zeros({R, F});
    const Tensor past = zeros({1}, DType::kI32);
    const auto of_one = [&](const std::string& name, int64_t in, int64_t out, bool scaled, Tensor residual,
                            Activation act) {
      const Tensor from = in == F ? ff : x, to = out == F ? ff : out == E ? y : qkv;
      time(name, kWeights,
           [&](int i) { device_.fused_linear(to, residual, from, scaled, layer(i, in, out), act); });
    };
    of_one("QKV", E, 3 * E, true, {}, Activation::kNone);
    of_one("QKV without scale", E, 3 * E, false, {}, Activation::kNone);
    of_one("out + residual", E, E, false, x, Activation::kNone);
    of_one("FF1 + GELU", E, F, true, {}, Activation::kGelu);
    of_one("FF2 + residual", F, E, false, x, Activation::kNone);
    const auto attend = [&](int i) {
      const auto l = static_cast<size_t>(i % kLayers);
      device_.attention_cached(y.reshape({R, 1, E}), keys_[l], values_[l], qkv.reshape({R, 1, 3 * E}), kHeads,
                               past);
    };
    for (const int32_t position : {32, 128, 255, 1000}) {
      device_.copy_to_device(past, &position);
      time(fmt::format("attention after {}", position), kWeights, attend);
    }
    const int32_t position = 128;
    device_.copy_to_device(past, &position);
    time("a layer after 128", kLayers, [&](int i) {
      device_.fused_linear(qkv, {}, x, true, layer(4 * i, E, 3 * E), Activation::kNone);
      attend(i);
      device_.fused_linear(x, y, y, false, layer(4 * i + 1, E, E), Activation::kNone);
      device_.fused_linear(ff, {}, x, true, layer(4 * i + 2, E, F), Activation::kGelu);
      device_.fused_linear(x, y, ff, false, layer(4 * i + 3, F, E), Activation::kNone);
    });
    const Tensor head = zeros({V, E}), logits = zeros({R, V}, DType::kF32), seen = zeros({R, V}, DType::kI32),
                 draw = zeros({R, 2}, DType::kI32), token = zeros({R, 1}, DType::kI32);
    time("head", 8, [&](int) {
      device_.fused_linear(logits, {}, x, false, {head, {}, Layout::kOutIn}, Activation::kNone);
    });
    time("greedy choice", 16, [&](int) { device_.sample(token, logits, seen, draw, {.temperature = 0.0}); });
  }

 private:
  Tensor zeros(std::initializer_list<int64_t> shape, DType dtype = DType::kBF16) {
    const Tensor shaped(nullptr, shape, dtype);
    memory_.emplace_back(device_, shaped.bytes());
    const Tensor t = shaped.at(memory_.back().data());
    device_.set_zero(t);
    return t;
  }

  Linear layer(int i, int64_t in, int64_t out) const {
    return {Tensor(weights_[static_cast<size_t>(i % kWeights)].data(), {out, in}, DType::kBF16),
            {},
            Layout::kOutIn};
  }

  /// The median of 15 times of four replays.
  void time(const std::string& name, int calls, const std::function<void(int)>& call) {
    constexpr int kReplays = 4;
    const auto graph = device_.capture([&] {
      for (int i = 0; i < calls; ++i) call(i);
    });
    const Tensor one = zeros({1}, DType::kI32);
    int32_t waited_for = 0;
    std::vector<double> times;
    for (int run = 0; run < 15; ++run) {
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < kReplays; ++i) graph->replay();
      device_.copy_to_host(&waited_for, one);
      const std::chrono::duration<double, std::micro> passed = std::chrono::steady_clock::now() - start;
      times.push_back(passed.count() / (kReplays * calls));
    }
    std::ranges::sort(times);
    fmt::print("{:<20} {:7.2f} us\n", name, times[times.size() / 2]);
  }

  Device& device_;
  int64_t rows_;
  std::deque<Buffer> memory_;
  std::vector<Tensor> weights_, keys_, values_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto device = make_device(argc > 2 ? argv[2] : "hip", 0);
  Bench(*device, argc > 1 ? std::atoi(argv[1]) : 1).run();
}
