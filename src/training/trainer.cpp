#include "trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>
#include <numeric>
#include <span>
#include <utility>

#include "model/memory_plan.h"
#include "util/parameter.h"

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

NotFinite::NotFinite(int64_t at_step, double with_loss, double with_norm)
    : Error(
          fmt::format("step {}: the loss is {:g} and the gradient norm {:g}", at_step, with_loss, with_norm)),
      step(at_step),
      loss(with_loss),
      grad_norm(with_norm) {}

namespace {

TrainingPass::Kind kind_of_pass(const TrainerOptions& options) {
  return options.recompute ? TrainingPass::kRecomputing : TrainingPass::kWithGradients;
}

}  // namespace

Trainer::Bytes Trainer::bytes(const GPTModel& model, const TrainerOptions& options) {
  const int T = model.config().max_seq_len;
  return {3 * model.weights().flat().bytes(),
          TrainingPass::bytes(model, options.batch, T, kind_of_pass(options))};
}

Trainer::Trainer(GPTModel& model, const DataLoader& data, const TrainerOptions& options)
    : model_(model),
      data_(data),
      options_(options),
      pass_(model, options.batch, model.config().max_seq_len, kind_of_pass(options)),
      gradients_(model.device(), model.config()),
      optimizer_(model.device(), model.config()),
      inputs_(static_cast<size_t>(options.batch) * static_cast<size_t>(model.config().max_seq_len)),
      targets_(inputs_.size()) {
  if (options.grad_accum < 1) throw Error("grad_accum must be at least 1");
  if (int64_t{options.batch} * options.grad_accum > int64_t{1} << 32) {
    throw Error(fmt::format("{} {} times grad_accum {}: a step takes at most 2^32 sequences",
                            Parameter::kBatch, options.batch, options.grad_accum));
  }
  if (data.batch_size() != options.batch || data.seq_len() != model.config().max_seq_len) {
    throw Error(fmt::format("the loader's batches are {} x {}, but the trainer's are {} x {}",
                            data.batch_size(), data.seq_len(), options.batch, model.config().max_seq_len));
  }
  Device& device = model_.device();
  MemoryPlan plan;
  plan.add(norm_, {1});
  plan.add(rates_, {3});
  plan.add(results_, {kUnread, options.grad_accum + 1});
  memory_ = plan.allocate(device);
  device.set_zero(results_);  // last_step() reads all of it

  // Captured with a full-size batch, whose content does not matter.
  pass_.set_batch(inputs_, targets_, 0);
  micro_step_ = device.capture([this] {
    loss_ = pass_.compute_loss_and_gradients(gradients_, 1.0f / static_cast<float>(options_.grad_accum),
                                             {.p = options_.dropout, .seed = options_.seed});
  });
  update_ = device.capture([this, &device] {
    device.l2_norm(norm_, gradients_.flat());
    device.adamw(model_.weights().flat(), model_.rounded_matrices(), gradients_.flat(),
                 optimizer_.first_moment.flat(), optimizer_.second_moment.flat(), norm_, rates_,
                 {.beta1 = options_.beta1,
                  .beta2 = options_.beta2,
                  .weight_decay = options_.weight_decay,
                  .max_grad_norm = options_.grad_clip,
                  .decayed = model_.weights().decayed()});
    device.set_zero(gradients_.flat());
  });
}

bool Trainer::train_step(const std::function<bool(int)>& proceed) {
  using Clock = std::chrono::steady_clock;
  Device& device = model_.device();
  const int64_t step = optimizer_.step + 1;
  if (unread_ == kUnread) last_step();

  const Tensor results = result(step).reshape({options_.grad_accum + 1});
  auto asked_at = Clock::now();
  for (int i = 0, ask_after = 1, stride = 1; i < options_.grad_accum; ++i) {
    const uint64_t micro_step = static_cast<uint64_t>(step - 1) * static_cast<uint64_t>(options_.grad_accum) +
                                static_cast<uint64_t>(i);
    data_.random_batch(static_cast<uint64_t>(step - 1), inputs_.data(), targets_.data(),
                       static_cast<uint32_t>(i) * static_cast<uint32_t>(options_.batch));
    pass_.set_batch(inputs_, targets_, static_cast<uint32_t>(micro_step));
    micro_step_->replay();
    device.copy(results.rows(i, 1), loss_);
    if (!proceed || i + 1 != ask_after || i + 1 == options_.grad_accum) continue;
    // Without the wait, the host would submit the whole step at once. Short micro-steps share one wait.
    wait_for_micro_step();
    const auto now = Clock::now();
    if (now - std::exchange(asked_at, now) < std::chrono::milliseconds(5)) stride *= 2;
    ask_after += stride;
    if (proceed(i + 1)) continue;
    device.set_zero(gradients_.flat());
    return false;
  }
  upload_rates(step);
  update_->replay();
  device.copy(results.rows(options_.grad_accum, 1), norm_);
  optimizer_.step = step;
  ++unread_;
  return true;
}

void Trainer::wait_for_micro_step() {
  float loss;
  model_.device().copy_to_host(&loss, loss_);
}

void Trainer::upload_rates(int64_t step) {
  const double t = static_cast<double>(step);
  const float rates[3] = {static_cast<float>(learning_rate_at(step, options_)),
                          static_cast<float>(1.0 / (1.0 - std::pow(options_.beta1, t))),
                          static_cast<float>(1.0 / (1.0 - std::pow(options_.beta2, t)))};
  model_.device().copy_to_device(rates_, rates);
}

StepResult Trainer::last_step() {
  if (unread_ == 0) return last_;
  const auto width = static_cast<size_t>(options_.grad_accum) + 1;
  std::vector<float> results(kUnread * width);
  model_.device().copy_to_host(results.data(), results_);
  const double tokens_of_step = static_cast<double>(inputs_.size()) * options_.grad_accum;
  for (int64_t step = optimizer_.step - std::exchange(unread_, 0) + 1; step <= optimizer_.step; ++step) {
    const float* row = results.data() + static_cast<size_t>(step % kUnread) * width;
    const double total = std::accumulate(row, row + width - 1, 0.0);
    last_ = {total / tokens_of_step, row[width - 1], learning_rate_at(step, options_)};
    if (!std::isfinite(last_.loss) || !std::isfinite(last_.grad_norm)) {
      throw NotFinite(step, last_.loss, last_.grad_norm);
    }
  }
  return last_;
}

double evaluate(TrainingPass& pass, const DataLoader& data, size_t max_batches,
                const std::function<bool()>& stop) {
  const size_t windows = data.num_windows(), available = (windows + kEvalBatch - 1) / kEvalBatch;
  const size_t count = max_batches == 0 ? available : std::min(available, max_batches);
  const auto seq_len = static_cast<size_t>(data.seq_len());
  std::vector<int32_t> inputs(static_cast<size_t>(data.batch_size()) * seq_len), targets(inputs.size());
  double total = 0.0;
  int64_t sequences = 0;
  int rows = 0;
  const auto add_rows = [&] {
    const size_t size = static_cast<size_t>(rows) * seq_len;
    total += pass.loss(std::span(inputs).first(size), std::span(targets).first(size)) * rows;
    sequences += std::exchange(rows, 0);
  };
  const auto mean = [&] { return total / static_cast<double>(sequences); };
  for (size_t i = 0; i < count; ++i) {
    const size_t first = i * available / count * kEvalBatch;
    for (size_t w = first; w < std::min(windows, first + kEvalBatch); ++w) {
      if (rows == 0 && sequences > 0 && stop()) return mean();
      data.window(w, rows++, inputs.data(), targets.data());
      if (rows == data.batch_size()) add_rows();
    }
  }
  if (rows > 0) add_rows();
  return mean();
}

}  // namespace hipgpt
