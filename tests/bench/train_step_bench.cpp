// Time of a training step, and of its matrix products alone.
//
//     train_step_bench [BATCH] [SEQ] [DIM] [HEADS] [LAYERS] [FF] [VOCAB] [THREADS] [STEPS]
//
// Prints one JSON object: medians over STEPS steps. "products_ms" is the time of a step's matrix products run
// by themselves in the same process, "products_share" that over the whole step.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "gpt_model.h"

using namespace hipgpt;

namespace {

using Op = Device::Op;

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
  Products(Device& device, const ModelConfig& c, int64_t rows) : device_(device) {
    const int64_t E = c.embed_dim, F = c.ff_hidden_dim, L = c.num_layers;
    const int64_t head_rows = std::min<int64_t>(rows, 256);  // as GPTModel cuts the head
    weights_ = {{rows, E, 3 * E, L},
                {rows, E, E, L},
                {rows, E, F, L},
                {rows, F, E, L},
                {head_rows, E, c.vocab_size, rows / head_rows}};
    int64_t largest = 0;
    for (const Weight& w : weights_)
      largest = std::max({largest, w.rows * w.in, w.in * w.out, w.rows * w.out});
    for (Buffer* b : {&x_, &w_, &y_}) *b = Buffer(device, static_cast<size_t>(largest) * sizeof(float));
    for (Buffer* b : {&x_, &w_, &y_}) device.set_zero(Tensor(b->data(), {largest}));
  }

  void run() {
    for (const Weight& weight : weights_) {
      const Tensor x(x_.data(), {weight.rows, weight.in}), w(w_.data(), {weight.in, weight.out});
      const Tensor y(y_.data(), {weight.rows, weight.out});
      for (int64_t i = 0; i < weight.times; ++i) {
        device_.matmul(y, x, Op::kNone, w, Op::kNone, false);
        device_.matmul(x, y, Op::kNone, w, Op::kTranspose, false);
        device_.matmul(w, x, Op::kTranspose, y, Op::kNone, true);
      }
    }
  }

 private:
  struct Weight {
    int64_t rows, in, out, times;
  };
  Device& device_;
  std::vector<Weight> weights_;
  Buffer x_, w_, y_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  const int B = argument(1, 32), threads = argument(8, 2), steps = argument(9, 60);
  ModelConfig c;
  c.max_seq_len = argument(2, c.max_seq_len);
  c.embed_dim = argument(3, c.embed_dim);
  c.num_heads = argument(4, c.num_heads);
  c.num_layers = argument(5, c.num_layers);
  c.ff_hidden_dim = argument(6, c.ff_hidden_dim);
  c.vocab_size = argument(7, c.vocab_size);
  const int64_t rows = int64_t{B} * c.max_seq_len;

  const auto device = make_device("cpu", threads);
  GPTModel model(*device, c);
  initialize(model.weights(), c, *device, 1);
  model.plan(B, c.max_seq_len, true);
  Parameters grads(*device, model.layout()), m(*device, model.layout()), v(*device, model.layout());
  Buffer norm_memory(*device, sizeof(float));
  const Tensor norm(norm_memory.data(), {1});
  std::mt19937 generator(1);
  std::vector<int32_t> inputs(static_cast<size_t>(rows)), targets(inputs.size());
  for (auto* tokens : {&inputs, &targets}) {
    for (auto& t : *tokens) t = std::uniform_int_distribution<int32_t>(0, c.vocab_size - 1)(generator);
  }

  const double step_ms = median_ms(steps, [&](int i) {
    device->set_zero(grads.flat());
    model.loss_and_gradients(inputs.data(), targets.data(), B, grads, 1.0f, {});
    device->norm(norm, grads.flat());
    device->adamw(model.weights().flat(), grads.flat(), m.flat(), v.flat(), norm,
                  {.learning_rate = 1e-3f,
                   .weight_decay = 0.1f,
                   .max_grad_norm = 1.0f,
                   .decayed = model.layout().num_decayed,
                   .step = i + 1});
  });
  Products products(*device, c, rows);
  const double products_ms = median_ms(steps, [&](int) { products.run(); });
  std::printf(
      "{\"what\": \"hipgpt_train_step\", \"threads\": %d, \"B\": %d, \"S\": %d, \"E\": %d, \"L\": %d, \"V\": "
      "%d, "
      "\"params\": %lld, \"ms\": %.3f, \"tok_s\": %.0f, \"products_ms\": %.3f, \"products_share\": %.3f}\n",
      threads, B, c.max_seq_len, c.embed_dim, c.num_layers, c.vocab_size,
      static_cast<long long>(model.layout().num_elements), step_ms, static_cast<double>(rows) / step_ms * 1e3,
      products_ms, products_ms / step_ms);
}
