// TrainingPass: the loss of a batch, its gradients and the memory for both.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "gpt_model.h"

namespace hipgpt {

/// Runs passes over batches of up to B sequences of T tokens, in memory that is allocated once. Any number of
/// TrainingPass objects may exist at the same time; the model must outlive them.
///
/// Batches are tokens in host memory: inputs [b,T] and targets [b,T], with b from 1 to B. Methods throw Error
/// for any other size and for a token outside the vocabulary.
class TrainingPass {
 public:
  enum Kind {
    kWithGradients,
    kRecomputing,  ///< with gradients; saves the inputs of layers, and computes their activations twice
    kForwardOnly,  ///< for evaluation: layers share the memory of their activations
  };

  /// Throws Error unless B >= 1 and T is from 1 to the model's S.
  TrainingPass(const GPTModel& model, int batch, int seq_len, Kind kind = kWithGradients);

  /// The bytes of device memory that such a pass allocates.
  static size_t bytes(const GPTModel& model, int batch, int seq_len, Kind kind);

  int seq_len() const { return static_cast<int>(seq_len_); }
  int max_batch() const { return static_cast<int>(max_batch_); }

  /// The mean cross-entropy, in nats, of the targets given the inputs, without dropout.
  double loss(std::span<const int32_t> inputs, std::span<const int32_t> targets);

  /// The terms of loss(): the cross-entropy of each of the b*T targets.
  std::vector<float> token_losses(std::span<const int32_t> inputs, std::span<const int32_t> targets);

  /// Logits [b*T,V], without dropout.
  std::vector<float> logits(std::span<const int32_t> inputs);

  /// Returns the mean loss with dropout and adds its gradient times `scale` to `gradients`, which must have
  /// the model's config. `micro_step` counts the forward passes of a run, for dropout.
  double loss_and_gradients(std::span<const int32_t> inputs, std::span<const int32_t> targets,
                            GPTWeights& gradients, float scale, const Dropout& dropout, uint32_t micro_step);

  /// The two halves of loss_and_gradients(), for a caller that does not wait for each loss. The first copies
  /// a batch to the device; the second consists of operations that can be captured. It returns the sum of the
  /// losses of all b*T tokens, [1].
  void set_batch(std::span<const int32_t> inputs, std::span<const int32_t> targets, uint32_t micro_step);
  ///
  /// `ready`, if given, is called with each part of gradients.flat() once, in the order in which later
  /// operations change it no more.
  using GradientsReady = std::function<void(Tensor part)>;
  Tensor compute_loss_and_gradients(GPTWeights& gradients, float scale, const Dropout& dropout,
                                    const GradientsReady& ready = {});

 private:
  TrainingPass(const GPTModel& model, int batch, int seq_len, Kind kind, bool allocate);

  /// Fills the activations and returns the hidden states that the head reads, [b*T,E].
  Tensor forward(Dropout dropout);

  /// Computes the head, the loss and, if `gradients` is given, their gradient. It works on some rows at a
  /// time, so that the logits of a large vocabulary are never in memory all at once. Returns the sum of the
  /// losses, [1]. Adds the sum of the gradient's rows to `hidden_sums`, if given.
  Tensor head_loss(Tensor hidden, GPTWeights* gradients, float scale, Tensor hidden_sums);

  /// The gradient of the last bias of layer l - 1, whose output is the input of layer l. It is none if that layer adds
  /// to this gradient itself.
  static Tensor last_bias(const GPTWeights& gradients, size_t l, const Dropout& dropout);

  /// Propagates dhidden_ [b*T,E], the gradient of the head's input, to every weight.
  void backward(GPTWeights& gradients, Dropout dropout, const GradientsReady& ready);

  double mean(Tensor total_loss) const;
  void check_gradients(const GPTWeights& gradients) const;

  int64_t rows() const { return batch_ * seq_len_; }
  Tensor tokens() const { return batch_memory_.rows(0, rows()).reshape({batch_, seq_len_}); }
  Tensor targets() const { return batch_memory_.rows(rows(), rows()); }
  Tensor micro_step() const { return batch_memory_.rows(2 * rows(), 1); }
  LayerActivations activations(size_t layer) const;
  Tensor input(size_t layer) const;
  ResidualNorm final_norm() const;

  const GPTModel& model_;
  Device& device_;
  Kind kind_;
  int64_t max_batch_, seq_len_;
  int64_t head_rows_;  // rows of logits computed and used at a time
  int64_t batch_ = 0;  // b of the current batch; 0 before the first
  size_t bytes_ = 0;
  Buffer memory_;
  std::vector<int32_t> host_batch_;
  Tensor batch_memory_;    // inputs, targets and micro_step, contiguous: one copy per batch
  std::vector<Tensor> x_;  // [R,E] each: the input of every layer and the output of the last one
  std::vector<LayerActivations> layers_;
  LayerScratch scratch_;
  Tensor final_y_;                 // [R,E]
  NormStats final_stats_;          // [R]
  Tensor logits_, losses_, loss_;  // [head_rows,V], [R], [1]
  Tensor dhidden_, dx_;            // [R,E]
};

}  // namespace hipgpt
