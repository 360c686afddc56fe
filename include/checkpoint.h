// Checkpoints: a trained model on disk, and beside it what its training needs to go on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gpt_model.h"
#include "safetensors_file.h"
#include "stored_weights.h"

namespace hipgpt {

/// What a checkpoint says of itself besides its weights.
struct CheckpointInfo {
  ModelConfig config;
  uint64_t tokenizer_hash = 0;  ///< Tokenizer::hash() of the vocabulary it was trained with
  int64_t step = 0;             ///< training steps behind it
};

/// Writes the weights of a model under Hugging Face's names, replacing `path` in one step. Error if it cannot
/// be written; what was there stays.
void save_checkpoint(const std::string& path, const GPTModel& model, const CheckpointInfo& info);

/// A checkpoint opened for reading; Error unless every tensor of the model is there with its shape and
/// finite.
class Checkpoint {
 public:
  static Checkpoint open(const std::string& path);

  const CheckpointInfo& info() const { return info_; }
  const std::string& path() const { return file_.path(); }
  /// Of the weights; empty in a file from another program.
  std::string checksum() const { return file_.checksum(); }

  /// Error unless the tokenizer of this hash is the one it was trained with, and has a token for each of its
  /// V rows; `path` is the tokenizer's, for the message.
  void check_tokenizer(uint64_t hash, int vocab_size, const std::string& path) const;

  StoredWeights weights() const;

 private:
  explicit Checkpoint(SafetensorsFile file);

  SafetensorsFile file_;
  CheckpointInfo info_;
};

/// AdamW's two moments after `step` steps: what a run needs, besides the weights, to continue exactly.
struct OptimizerState {
  GPTWeights first_moment, second_moment;
  int64_t step = 0;

  OptimizerState(Device& device, const ModelConfig& config)
      : first_moment(device, config), second_moment(device, config) {}
};

/// What an optimizer file says of itself. Batches, dropout and learning rates are functions of the step and
/// of the flags, so these are the random state, the data position and the schedule too.
struct OptimizerInfo {
  int64_t step = 0;
  std::string weights_checksum;    ///< of the checkpoint that it belongs to
  uint64_t data_hash = 0;          ///< of the text
  std::vector<std::string> flags;  ///< of the run, "--name=value"
};

/// "dir/gpt_checkpoint.bin" -> "dir/gpt_checkpoint.optimizer.bin".
std::string optimizer_path(const std::string& checkpoint_path);

/// An optimizer file opened for reading.
class OptimizerFile {
 public:
  static OptimizerFile open(const std::string& path);

  const OptimizerInfo& info() const { return info_; }
  const std::string& path() const { return file_.path(); }

  /// True if it was saved together with this checkpoint.
  bool belongs_to(const Checkpoint& checkpoint) const;

  /// Error unless it is of a model of the same config, and finite.
  void load_into(OptimizerState& state, Device& device) const;

 private:
  explicit OptimizerFile(SafetensorsFile file);

  SafetensorsFile file_;
  OptimizerInfo info_;
};

/// Whether an optimizer file was saved with a checkpoint, as OptimizerFile::belongs_to() says, by their
/// headers alone.
bool headers_belong_together(const std::string& optimizer_path, const std::string& checkpoint_path);

/// The flags in an optimizer file, of which only the header is read.
std::vector<std::string> read_flags(const std::string& optimizer_path);

}  // namespace hipgpt
