// Checkpoints: a trained model on disk, and beside it what its training needs to go on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "gpt_model.h"
#include "parameters.h"
#include "safetensors_file.h"

namespace hipgpt {

/// What a checkpoint says of itself besides its weights.
struct CheckpointInfo {
  ModelConfig config;
  uint64_t tokenizer_hash = 0;  ///< Tokenizer::hash() of the vocabulary it was trained with
  int64_t step = 0;             ///< training steps behind it
};

/// Writes the weights under Hugging Face's names, in a safetensors file that is complete or not there.
void save_checkpoint(const std::string& path, const GPTModel& model, const CheckpointInfo& info);

/// A checkpoint opened for reading; Error unless every tensor of the model is there with its shape and
/// finite.
class Checkpoint {
 public:
  static Checkpoint open(const std::string& path);

  const CheckpointInfo& info() const { return info_; }
  const std::string& path() const { return file_.path(); }

  /// Error unless `tokenizer_hash` is the one it was trained with; `tokenizer_path` is for the message.
  void check_tokenizer(uint64_t tokenizer_hash, const std::string& tokenizer_path) const;

  /// Copies the weights into a model of the same config.
  void load_into(GPTModel& model) const;

 private:
  explicit Checkpoint(SafetensorsFile file);

  SafetensorsFile file_;
  CheckpointInfo info_;
};

/// AdamW's two moments after `step` steps: what a run needs, besides the weights, to continue exactly.
struct OptimizerState {
  Parameters first_moment, second_moment;
  int64_t step = 0;

  OptimizerState(Device& device, const ParameterLayout& layout)
      : first_moment(device, layout), second_moment(device, layout) {}
};

/// "dir/gpt_checkpoint.bin" -> "dir/gpt_checkpoint.optimizer.bin".
std::string optimizer_path(const std::string& checkpoint_path);

void save_optimizer(const std::string& path, const OptimizerState& state, Device& device);

/// Error unless the file belongs to a model of this layout.
void load_optimizer(const std::string& path, OptimizerState& state, Device& device);

}  // namespace hipgpt
