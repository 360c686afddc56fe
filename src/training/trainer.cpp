#include "trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hipgpt {

double learning_rate_at(int64_t step, const TrainerOptions& o) {
  if (step <= o.warmup_steps) {
    return static_cast<double>(o.learning_rate) * static_cast<double>(step) /
           static_cast<double>(o.warmup_steps);
  }
  const int64_t decay_steps = std::max<int64_t>(1, o.steps - o.warmup_steps);
  const double progress =
      std::min(1.0, static_cast<double>(step - o.warmup_steps) / static_cast<double>(decay_steps));
  const double fraction = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return o.min_learning_rate + fraction * (static_cast<double>(o.learning_rate) - o.min_learning_rate);
}

Trainer::Trainer(GPTModel& model, const DataLoader& data, const TrainerOptions& options)
    : model_(model),
      data_(data),
      options_(options),
      gradients_(model.device(), model.layout()),
      optimizer_(model.device(), model.layout()),
      norm_memory_(model.device(), sizeof(float)),
      inputs_(static_cast<size_t>(options.batch) * static_cast<size_t>(model.config().max_seq_len)),
      targets_(inputs_.size()) {
  model_.plan(options.batch, model.config().max_seq_len, true);
}

StepResult Trainer::train_step() {
  Device& device = model_.device();
  const int64_t step = optimizer_.step + 1;
  const Tensor norm(norm_memory_.data(), {1});

  device.set_zero(gradients_.flat());
  double loss = 0.0;
  for (int pass = 0; pass < options_.grad_accum; ++pass) {
    const uint64_t k = static_cast<uint64_t>(step - 1) * static_cast<uint64_t>(options_.grad_accum) +
                       static_cast<uint64_t>(pass);
    data_.random_batch(k, inputs_.data(), targets_.data());
    const Dropout dropout{.p = options_.dropout, .seed = options_.seed, .step = k};
    loss += model_.loss_and_gradients(inputs_.data(), targets_.data(), options_.batch, gradients_,
                                      1.0f / static_cast<float>(options_.grad_accum), dropout);
  }
  loss /= options_.grad_accum;
  device.norm(norm, gradients_.flat());
  float grad_norm = 0.0f;
  device.copy_to_host(&grad_norm, norm);
  if (!std::isfinite(loss) || !std::isfinite(grad_norm)) throw NotFinite{step, loss, grad_norm};

  const double learning_rate = learning_rate_at(step, options_);
  device.adamw(model_.weights().flat(), gradients_.flat(), optimizer_.first_moment.flat(),
               optimizer_.second_moment.flat(), norm,
               {.learning_rate = static_cast<float>(learning_rate),
                .beta1 = options_.beta1,
                .beta2 = options_.beta2,
                .weight_decay = options_.weight_decay,
                .max_grad_norm = options_.grad_clip,
                .decayed = model_.layout().num_decayed,
                .step = step});
  optimizer_.step = step;
  return {loss, grad_norm, learning_rate};
}

double evaluate(GPTModel& model, const DataLoader& data, int batch, int seq_len, size_t max_batches) {
  const size_t available = data.num_sequential_batches();
  const size_t count = max_batches == 0 ? available : std::min(available, max_batches);
  std::vector<int32_t> inputs(static_cast<size_t>(batch) * static_cast<size_t>(seq_len));
  std::vector<int32_t> targets(inputs.size());
  double total = 0.0;
  int64_t sequences = 0;
  for (size_t i = 0; i < count; ++i) {
    const int rows = data.sequential_batch(i * available / count, inputs.data(), targets.data());
    total += model.loss(inputs.data(), targets.data(), rows) * rows;
    sequences += rows;
  }
  return total / static_cast<double>(sequences);
}

}  // namespace hipgpt
