// TrainingPass: the loss of a batch and its gradients, with the memory that they take.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gpt_model.h"

namespace hipgpt {

/// Passes over batches of up to B sequences of T tokens, whose memory is allocated once. Any number of
/// passes may exist beside each other; the model must outlive them.
///
/// Batches are tokens in the host's memory: inputs [b,T] and targets [b,T], with b from 1 to B. Error for
/// another size, and for a token that is not in the vocabulary.
class TrainingPass {
 public:
  enum Kind {
    kWithGradients,
    kForwardOnly,  ///< for evaluation: layers share the memory of their activations
  };

  /// Error unless B >= 1 and T is from 1 to the model's S.
  TrainingPass(const GPTModel& model, int batch, int seq_len, Kind kind = kWithGradients);

  int seq_len() const { return static_cast<int>(seq_len_); }
  int max_batch() const { return static_cast<int>(max_batch_); }

  /// Mean cross-entropy in nats of predicting the targets from the inputs, without dropout.
  double loss(std::span<const int32_t> inputs, std::span<const int32_t> targets);

  /// Its terms: the cross-entropy of each of the b*T targets.
  std::vector<float> token_losses(std::span<const int32_t> inputs, std::span<const int32_t> targets);

  /// Logits [b*T,V], without dropout.
  std::vector<float> logits(std::span<const int32_t> inputs);

  /// The mean loss with dropout; its gradient times `scale` is added to `gradients`, which have the model's
  /// config. `micro_step` counts the forward passes of a run, for dropout.
  double loss_and_gradients(std::span<const int32_t> inputs, std::span<const int32_t> targets,
                            GPTWeights& gradients, float scale, const Dropout& dropout, uint32_t micro_step);

  /// The two halves of loss_and_gradients(), for a caller that does not wait for each loss: a batch to the
  /// device, and operations on it that can be captured. The result, [1], is the sum of the losses of all b*T
  /// tokens.
  void set_batch(std::span<const int32_t> inputs, std::span<const int32_t> targets, uint32_t micro_step);
  Tensor compute_loss_and_gradients(GPTWeights& gradients, float scale, const Dropout& dropout);

 private:
  /// Fills the activations up to the hidden states that the head reads, and returns them, [b*T,E].
  Tensor forward(Dropout dropout);

  /// Head, loss and, if `gradients` is given, their gradient, for some rows at a time, so that the logits of
  /// a large vocabulary never lie in memory all at once. Returns the sum of the losses, [1].
  Tensor head_loss(Tensor hidden, GPTWeights* gradients, float scale);

  /// Turns dhidden_ [b*T,E], the gradient of the head's input, into that of every weight.
  void backward(GPTWeights& gradients, Dropout dropout);

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
  int64_t head_rows_;  // of logits that are made, used and forgotten at a time
  int64_t batch_ = 0;  // b of the batch at hand; 0: there was none yet
  Buffer memory_;
  std::vector<int32_t> host_batch_;
  Tensor batch_memory_;    // inputs, targets and micro_step, in one piece: one copy brings a batch
  std::vector<Tensor> x_;  // [R,E] each: the input of every layer, and the output of the last
  std::vector<LayerActivations> layers_;
  LayerScratch scratch_;
  Tensor final_y_;                 // [R,E]
  NormStats final_stats_;          // [R]
  Tensor logits_, losses_, loss_;  // [head_rows,V], [R], [1]
  Tensor dhidden_, dx_;            // [R,E]
};

}  // namespace hipgpt
