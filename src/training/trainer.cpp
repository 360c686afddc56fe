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

Communicator::Range own_weights(const TrainerOptions& options, const Communicator& communicator, int64_t n) {
  return options.shard_optimizer ? communicator.slice(n) : Communicator::Range{0, n};
}

constexpr int64_t kNormsApart = 64;  // the granularity of Communicator::slice()

}  // namespace

Communicator::Range Trainer::rows(const TrainerOptions& options, const Communicator& communicator) {
  if (options.batch < communicator.size()) {
    throw Error(fmt::format("{} {}: each of the {} processes needs a sequence at least", Parameter::kBatch,
                            options.batch, communicator.size()));
  }
  return communicator.share(options.batch);
}

Trainer::Bytes Trainer::bytes(const GPTModel& model, const TrainerOptions& options,
                              const Communicator& communicator) {
  const int T = model.config().max_seq_len, B = static_cast<int>(rows(options, communicator).size());
  const int64_t n = model.weights().size();
  const int64_t own = own_weights(options, communicator, n).size();
  return {sizeof(float) * static_cast<size_t>(n + 2 * own),
          TrainingPass::bytes(model, B, T, kind_of_pass(options))};
}

Trainer::Trainer(GPTModel& model, const DataLoader& data, const TrainerOptions& options,
                 Communicator& communicator)
    : model_(model),
      data_(data),
      options_(options),
      communicator_(communicator),
      rows_(rows(options, communicator)),
      pass_(model, static_cast<int>(rows_.size()), model.config().max_seq_len, kind_of_pass(options)),
      gradients_(model.device(), model.config()),
      own_(own_weights(options, communicator, model.weights().size())),
      inputs_(static_cast<size_t>(rows_.size()) * static_cast<size_t>(model.config().max_seq_len)),
      targets_(inputs_.size()) {
  if (options.grad_accum < 1) throw Error("grad_accum must be at least 1");
  if (int64_t{options.batch} * options.grad_accum > int64_t{1} << 32) {
    throw Error(fmt::format("{} {} times grad_accum {}: a step takes at most 2^32 sequences",
                            Parameter::kBatch, options.batch, options.grad_accum));
  }
  if (data.batch_size() != pass_.max_batch() || data.seq_len() != model.config().max_seq_len) {
    throw Error(fmt::format("the loader's batches are {} x {}, but the trainer's are {} x {}",
                            data.batch_size(), data.seq_len(), pass_.max_batch(),
                            model.config().max_seq_len));
  }
  const int64_t n = model.weights().size();
  if (options.shard_optimizer && communicator.slice(n, 0).size() == 0) {
    throw Error(fmt::format("{} parameters cannot be divided among {} processes", n, communicator.size()));
  }
  Device& device = model_.device();
  MemoryPlan plan;
  for (Tensor& moment : moments_) plan.add(moment, {own_.size()});
  plan.add(part_norms_, {kNormsApart * communicator.size()});
  plan.add(norm_, {1});
  plan.add(rates_, {3});
  plan.add(results_, {kUnread, options.grad_accum + 1});
  memory_ = plan.allocate(device);
  device.set_zero(results_);  // last_step() reads all of it
  device.set_zero(part_norms_);
  for (const Tensor& moment : moments_) device.set_zero(moment);

  // Captured with a full-size batch, whose content does not matter.
  pass_.set_batch(inputs_, targets_, 0);
  micro_step_ = device.capture([this] { compute_micro_step(false); });
  if (communicator_.size() > 1 && communicator_.can_be_captured() && !options_.shard_optimizer)
    last_micro_step_ = device.capture([this] { compute_micro_step(true); });
  // Collectives that cannot be captured run between graphs.
  if (communicator_.can_be_captured() || !options_.shard_optimizer)
    update_ = device.capture([this] { update(); });
}

void Trainer::start_at(int64_t step, const MomentReader& read) {
  if (communicator_.size() > 1) {
    model_.write_weights([&](const GPTWeights& weights) {
      communicator_.broadcast(weights.flat());
      communicator_.wait();
    });
  }
  double first = communicator_.rank() == 0 ? static_cast<double>(step) : 0.0;
  communicator_.sum({&first, 1});
  step_ = static_cast<int64_t>(first);
  if (step_ == 0) return;
  // The memory of the gradients, which are zero between steps, has room for a whole moment.
  const Tensor whole = gradients_.flat();
  for (const Moment moment : kMoments) {
    if (communicator_.rank() == 0) read(moment, gradients_);
    communicator_.broadcast(whole);
    communicator_.wait();
    model_.device().copy(moments_[static_cast<int>(moment)], whole.rows(own_.begin, own_.size()));
  }
  model_.device().set_zero(whole);
}

void Trainer::read_moments(const std::function<void(Moment moment, Tensor values)>& f) {
  const Tensor whole = gradients_.flat();
  for (const Moment moment : kMoments) {
    const Tensor own = moments_[static_cast<int>(moment)];
    if (own_.size() == whole.size()) {
      f(moment, own);
      continue;
    }
    model_.device().copy(whole.rows(own_.begin, own_.size()), own);
    communicator_.all_gather(whole);
    communicator_.wait();
    f(moment, whole);
  }
  if (own_.size() < whole.size()) model_.device().set_zero(whole);
}

/// AdamW on the weights of this process, with the gradient of the step. If they are a part, the processes
/// exchange the parts before and after: ZeRO's first stage (Rajbhandari et al., SC 2020).
void Trainer::update() {
  Device& device = model_.device();
  const Tensor gradient = gradients_.flat(), weights = model_.weights().flat();
  const Tensor own_gradient = gradient.rows(own_.begin, own_.size());
  const bool parts = options_.shard_optimizer && communicator_.size() > 1;
  if (parts) {
    communicator_.reduce_scatter(gradient);
    communicator_.wait();
    device.l2_norm(part_norms_.rows(kNormsApart * communicator_.rank(), 1), own_gradient);
    communicator_.all_gather(part_norms_);
    communicator_.wait();
  }
  device.l2_norm(norm_, parts ? part_norms_ : gradient);
  const int64_t matrices = model_.weights().decayed(),
                decayed = std::clamp<int64_t>(matrices - own_.begin, 0, own_.size());
  const Tensor rounded = model_.rounded_matrices();
  device.adamw(weights.rows(own_.begin, own_.size()),
               rounded && decayed > 0 ? rounded.rows(own_.begin, decayed) : Tensor(), own_gradient,
               moments_[0], moments_[1], norm_, rates_,
               {.beta1 = options_.beta1,
                .beta2 = options_.beta2,
                .weight_decay = options_.weight_decay,
                .max_grad_norm = options_.grad_clip,
                .decayed = decayed});
  device.set_zero(gradient);
  if (parts) {
    communicator_.all_gather(weights);
    communicator_.wait();
    if (rounded) device.round_to_bf16(rounded, weights.rows(0, matrices));
  }
}

/// Adds the gradients of this process's rows of a micro-batch, each weighted as in the mean over the step. In
/// the last micro-step, the sums over the processes begin while the backward pass still runs.
void Trainer::compute_micro_step(bool last) {
  const float scale = static_cast<float>(rows_.size()) / static_cast<float>(options_.batch) /
                      static_cast<float>(options_.grad_accum);
  TrainingPass::GradientsReady ready;
  if (last) ready = [this](Tensor part) { communicator_.all_reduce(part); };
  loss_ = pass_.compute_loss_and_gradients(gradients_, scale, {.p = options_.dropout, .seed = options_.seed},
                                           ready);
  if (last) communicator_.wait();
}

bool Trainer::train_step(const std::function<bool(int)>& proceed) {
  using Clock = std::chrono::steady_clock;
  Device& device = model_.device();
  const int64_t step = step_ + 1;
  if (unread_ == kUnread) last_step();

  const Tensor results = result(step).reshape({options_.grad_accum + 1});
  auto asked_at = Clock::now();
  for (int i = 0, ask_after = 1, stride = 1; i < options_.grad_accum; ++i) {
    const bool last = i + 1 == options_.grad_accum;
    // For dropout: no two forward passes of a run have the same number.
    const int64_t pass = ((step - 1) * options_.grad_accum + i) * communicator_.size() + communicator_.rank();
    data_.random_batch(static_cast<uint64_t>(step - 1), inputs_.data(), targets_.data(),
                       static_cast<uint32_t>(int64_t{i} * options_.batch + rows_.begin));
    pass_.set_batch(inputs_, targets_, static_cast<uint32_t>(pass));
    (last && last_micro_step_ ? last_micro_step_ : micro_step_)->replay();
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
  if (!last_micro_step_ && !options_.shard_optimizer) {
    communicator_.all_reduce(gradients_.flat());
    communicator_.wait();
  }
  upload_rates(step);
  update_ ? update_->replay() : update();
  device.copy(results.rows(options_.grad_accum, 1), norm_);
  step_ = step;
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
  const int64_t first = step_ - std::exchange(unread_, 0) + 1;
  const auto row = [&](int64_t step) { return results.data() + static_cast<size_t>(step % kUnread) * width; };
  std::vector<double> totals;  // of the losses of each step
  for (int64_t step = first; step <= step_; ++step) {
    totals.push_back(std::accumulate(row(step), row(step) + width - 1, 0.0));
  }
  communicator_.sum(totals);
  const double tokens_of_step = static_cast<double>(options_.batch) * model_.config().max_seq_len *
                                static_cast<double>(options_.grad_accum);
  for (int64_t step = first; step <= step_; ++step) {
    last_ = {totals[static_cast<size_t>(step - first)] / tokens_of_step, row(step)[width - 1],
             learning_rate_at(step, options_)};
    if (!std::isfinite(last_.loss) || !std::isfinite(last_.grad_norm)) {
      throw NotFinite(step, last_.loss, last_.grad_norm);
    }
  }
  return last_;
}

double evaluate(TrainingPass& pass, const DataLoader& data, size_t max_batches,
                const std::function<bool()>& stop, Communicator& communicator) {
  const size_t windows = data.num_windows(), available = (windows + kEvalBatch - 1) / kEvalBatch;
  const size_t count = max_batches == 0 ? available : std::min(available, max_batches);
  std::vector<size_t> chosen;
  for (size_t i = 0; i < count; ++i) {
    const size_t first = i * available / count * kEvalBatch;
    for (size_t w = first; w < std::min(windows, first + kEvalBatch); ++w) chosen.push_back(w);
  }
  const Communicator::Range mine = communicator.share(static_cast<int64_t>(chosen.size()));
  const auto seq_len = static_cast<size_t>(data.seq_len());
  std::vector<int32_t> inputs(static_cast<size_t>(data.batch_size()) * seq_len), targets(inputs.size());
  double sums[2] = {0.0, 0.0};  // of the losses of sequences, and their number
  for (int64_t next = mine.begin; next < mine.end;) {
    if (next > mine.begin && stop()) break;
    int rows = 0;
    while (rows < data.batch_size() && next < mine.end) {
      data.window(chosen[static_cast<size_t>(next++)], rows++, inputs.data(), targets.data());
    }
    const size_t size = static_cast<size_t>(rows) * seq_len;
    sums[0] += pass.loss(std::span(inputs).first(size), std::span(targets).first(size)) * rows;
    sums[1] += rows;
  }
  communicator.sum(sums);
  return sums[0] / sums[1];
}

}  // namespace hipgpt
