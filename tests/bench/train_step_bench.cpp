// Measures the time of a training step, and of its matrix products alone.
//
//     train_step_bench [BATCH] [SEQ] [DIM] [HEADS] [LAYERS] [FF] [VOCAB] [THREADS] [STEPS] [DEVICE] [DROPOUT]
//         [DTYPE] [PRESET]
//
// Prints one JSON object: the median over STEPS steps of Trainer, including data and optimizer. "products_ms"
// is the time of a step's matrix products, run by themselves in the same process. "products_share" is their
// share of the whole step.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include <unistd.h>

#include "trainer.h"

using namespace hipgpt;

namespace {

double median_ms(int runs, const auto& f) {
  std::vector<double> times;
  for (int i = 0; i < runs + 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f(i);
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    if (i >= 3) times.push_back(time.count());
  }
  std::nth_element(times.begin(), times.begin() + runs / 2, times.end());
  return times[static_cast<size_t>(runs / 2)];
}

/// The matrix products of one step without attention: for each weight matrix, y = x W, dx = dy W^T and dW +=
/// x^T dy.
class Products {
 public:
  Products(Device& device, const ModelConfig& c, int64_t rows, DType dtype) : device_(device), dtype_(dtype) {
    const int64_t E = c.embed_dim, F = c.ff_hidden_dim, L = c.num_layers;
    const int64_t head_rows =
        std::min<int64_t>(rows, 256);  // as TrainingPass splits the default's head on a CPU
    weights_ = {{rows, E, 3 * E, L},
                {rows, E, E, L},
                {rows, E, F, L},
                {rows, F, E, L},
                {head_rows, E, c.vocab_size, rows / head_rows}};
    int64_t largest = 0;
    for (const Weight& w : weights_)
      largest = std::max({largest, w.rows * w.in, w.in * w.out, w.rows * w.out});
    for (Buffer* b : {&x_, &w_, &y_, &dx_, &dw_})
      *b = Buffer(device, static_cast<size_t>(largest) * sizeof(float));
    for (Buffer* b : {&x_, &w_, &y_, &dx_, &dw_}) device.set_zero(Tensor(b->data(), {largest}));
  }

  void run() {
    for (const Weight& weight : weights_) {
      const Tensor x(x_.data(), {weight.rows, weight.in}, dtype_),
          w(w_.data(), {weight.in, weight.out}, dtype_);
      const Tensor y(y_.data(), {weight.rows, weight.out}, dtype_);
      const Tensor dx = x.at(dx_.data()), dw(dw_.data(), {weight.in, weight.out});
      for (int64_t i = 0; i < weight.times; ++i) {
        device_.linear(y, x, {w, {}}, Activation::kNone, {});
        device_.linear_backward(dx, {dw, {}}, y, x, {w, {}}, {}, {});
      }
    }
    float waited_for = 0.0f;
    device_.copy_to_host(&waited_for, Tensor(y_.data(), {1}));
  }

 private:
  struct Weight {
    int64_t rows, in, out, times;
  };
  Device& device_;
  DType dtype_;
  std::vector<Weight> weights_;
  Buffer x_, w_, y_, dx_, dw_;
};

/// A tokens.bin of random tokens in its own folder, removed at the end.
class RandomTokens {
 public:
  explicit RandomTokens(int vocab_size)
      : path_(std::filesystem::temp_directory_path() /
              ("hipgpt-bench-" + std::to_string(getpid()) + ".bin")) {
    TokenFileWriter writer(path_, static_cast<uint64_t>(vocab_size), 0, 0, kCount);
    std::mt19937 generator(1);
    std::vector<int32_t> tokens(kCount);
    for (auto& t : tokens) t = std::uniform_int_distribution<int32_t>(0, vocab_size - 1)(generator);
    writer.append(tokens);
    writer.commit();
  }
  ~RandomTokens() { std::filesystem::remove(path_); }
  TokenFile open() const { return TokenFile::open(path_); }

  static constexpr size_t kCount = 1 << 20;

 private:
  std::string path_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  const int B = argument(1, 32), threads = argument(8, 2), steps = argument(9, 60);
  const std::string device_name = argc > 10 ? argv[10] : "cpu";
  ModelConfig c = ModelConfig::preset(argc > 13 ? argv[13] : "default");  // sizes that no argument gives
  c.max_seq_len = argument(2, c.max_seq_len);
  c.embed_dim = argument(3, c.embed_dim);
  c.num_heads = argument(4, c.num_heads);
  c.num_layers = argument(5, c.num_layers);
  c.ff_hidden_dim = argument(6, c.ff_hidden_dim);
  c.vocab_size = argument(7, c.vocab_size);
  const int64_t rows = int64_t{B} * c.max_seq_len;

  const auto device = make_device(device_name, threads);
  const RandomTokens random(c.vocab_size);
  const TokenFile tokens = random.open();
  const DataLoader data(tokens, 0, RandomTokens::kCount, B, c.max_seq_len, 1);
  const DType dtype = choose_dtype(argc > 12 ? argv[12] : "fp32", *device, c);
  GPTModel model(*device, c, dtype);
  initialize(model, 1);
  Trainer trainer(model, data,
                  {.batch = B, .steps = 1 << 30, .dropout = argc > 11 ? std::stof(argv[11]) : 0.0f});

  // Steps are timed in rounds, because on a GPU the host runs ahead and waits once per round.
  const int rounds = std::clamp(steps, 1, 10), round_steps = std::max(1, steps / rounds);
  const double step_ms = median_ms(rounds,
                                   [&](int) {
                                     for (int i = 0; i < round_steps; ++i) trainer.train_step();
                                     trainer.last_step();
                                   }) /
                         round_steps;
  Products products(*device, c, rows, dtype);
  const double products_ms = median_ms(rounds, [&](int) { products.run(); });
  std::printf(
      "{\"what\": \"hipgpt_train_step\", \"device\": \"%s\", \"threads\": %d, \"B\": %d, \"S\": %d, \"E\": "
      "%d, "
      "\"L\": %d, \"V\": %d, \"params\": %lld, \"ms\": %.4f, \"tok_s\": %.0f, \"products_ms\": %.4f, "
      "\"products_share\": %.3f}\n",
      device_name.c_str(), threads, B, c.max_seq_len, c.embed_dim, c.num_layers, c.vocab_size,
      static_cast<long long>(model.weights().size()), step_ms, static_cast<double>(rows) / step_ms * 1e3,
      products_ms, products_ms / step_ms);
}
