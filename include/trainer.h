// Trainer: the mathematics of a training run, step by step. run_training.h handles files and the terminal.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "checkpoint.h"
#include "communicator.h"
#include "data_loader.h"
#include "error.h"
#include "gpt_model.h"
#include "training_pass.h"

namespace hipgpt {

struct TrainerOptions {
  int batch = 32;      ///< B, sequences per micro-step, of all processes together
  int grad_accum = 1;  ///< micro-steps per step; their gradients are averaged
  int64_t steps = 1000;
  int64_t warmup_steps = 100;
  float learning_rate = 3e-3f;
  float min_learning_rate = 3e-4f;
  float beta1 = 0.9f;
  float beta2 = 0.99f;
  float weight_decay = 0.1f;
  float grad_clip = 1.0f;  ///< largest global norm of the gradient; 0: no limit
  float dropout = 0.0f;
  bool recompute = false;        ///< see TrainingPass::kRecomputing
  bool shard_optimizer = false;  ///< each process has a part of the moments, and updates it
  uint64_t seed = 1337;
};

/// Linear warm-up to the learning rate over `warmup_steps`, then half a cosine down to the minimum at `steps`
/// (Loshchilov & Hutter, ICLR 2017). Steps count from 1.
double learning_rate_at(int64_t step, const TrainerOptions& options);

struct StepResult {
  double loss;       ///< mean cross-entropy in nats before the update
  double grad_norm;  ///< before clipping
  double learning_rate;
};

/// Thrown when the loss or the gradient of a step is not finite.
class NotFinite : public Error {
 public:
  NotFinite(int64_t step, double loss, double grad_norm);

  int64_t step;
  double loss, grad_norm;
};

/// AdamW over random batches. Step k is a function of the seed, k and the state before it, so a run that
/// resumes from a saved state makes exactly the steps of an uninterrupted run.
class Trainer {
 public:
  /// Throws Error unless the loader's rows are as long as the model's context S and as many as this process
  /// has of a batch. The model, the loader and the communicator must outlive the trainer.
  ///
  /// Each process has a Trainer. They start from equal weights, each adds the gradients of its rows of every
  /// batch, and all make the same update. All call the same functions, evaluate() too.
  Trainer(GPTModel& model, const DataLoader& data, const TrainerOptions& options,
          Communicator& communicator = single_process());

  /// The rows of a batch that this process computes. Throws Error if there are fewer rows than processes.
  static Communicator::Range rows(const TrainerOptions& options, const Communicator& communicator);

  /// The bytes of device memory that a Trainer allocates.
  struct Bytes {
    size_t state;        ///< gradients and the optimizer's moments
    size_t activations;  ///< of the pass
  };
  static Bytes bytes(const GPTModel& model, const TrainerOptions& options,
                     const Communicator& communicator = single_process());

  Trainer(const Trainer&) = delete;  // captured steps refer to this object
  Trainer& operator=(const Trainer&) = delete;

  /// Copies a moment to values with the layout of the weights.
  using MomentReader = std::function<void(Moment moment, const GPTWeights& values)>;

  /// Continues after `step` steps with the moments that `read` reads. With several processes, all call this
  /// before the first step, and take over the weights, step and moments of process 0, whatever their own
  /// arguments. `read` is needed in process 0 if `step` is above 0.
  void start_at(int64_t step, const MomentReader& read = {});

  /// Calls `f` with all values of each moment, [n]. With several processes, all call this.
  void read_moments(const std::function<void(Moment moment, Tensor values)>& f);

  /// The number of steps done so far.
  int64_t step() const { return step_; }

  /// The pass that runs the steps. Callers can evaluate the model with it between steps, in the same memory.
  TrainingPass& pass() { return pass_; }

  /// Runs one update. It may return before the device is done. Every few milliseconds, or after each
  /// micro-step that takes longer, `proceed` is called with the number of those that are done. If it returns
  /// false, the step is abandoned: nothing of it remains, and train_step() returns false.
  bool train_step(const std::function<bool(int)>& proceed = {});

  /// Waits for the newest step and returns its result, that of all processes. Throws NotFinite if the loss or the gradient of any
  /// step since the last call was not finite; such a step leaves the weights unchanged.
  StepResult last_step();

 private:
  /// The most steps whose results may stay unread on the device.
  static constexpr int64_t kUnread = 64;

  void compute_micro_step(bool last);
  void update();
  void wait_for_micro_step();
  Tensor result(int64_t step) const { return results_.rows(step % kUnread, 1); }
  void upload_rates(int64_t step);

  GPTModel& model_;
  const DataLoader& data_;
  TrainerOptions options_;
  Communicator& communicator_;
  Communicator::Range rows_;  // of a batch
  TrainingPass pass_;
  GPTWeights gradients_;
  Communicator::Range own_;  // of the weights: those whose moments this process has
  int64_t step_ = 0;
  Buffer memory_;
  Tensor moments_[2];    // [own_]
  Tensor norm_, rates_;  // [1], [3]: see Device::adamw
  Tensor part_norms_;    // [64 N]: the norms of the parts of the gradient, 64 elements apart
  Tensor results_;       // [kUnread, grad_accum + 1]: per step, the losses of its micro-steps and the norm
  std::unique_ptr<Device::Graph> micro_step_, last_micro_step_, update_;
  Tensor loss_;  // loss of a micro-step, on the device
  std::vector<int32_t> inputs_, targets_;
  int64_t unread_ = 0;  // number of newest steps whose results are still on the device
  StepResult last_{};
};

/// The sequences in a batch that evaluate() counts, whatever the batch size of the pass.
inline constexpr size_t kEvalBatch = 32;

/// Mean cross-entropy in nats over up to `max_batches` batches of kEvalBatch sequences (0: all), evenly
/// spread over the loader's part of the text. The sequences do not depend on the loader's batch size, which
/// must fit the pass, and are shared among the processes. `stop` is called before every computation except
/// the first and ends the evaluation when it returns true.
double evaluate(
    TrainingPass& pass, const DataLoader& data, size_t max_batches,
    const std::function<bool()>& stop = [] { return false; }, Communicator& communicator = single_process());

}  // namespace hipgpt
