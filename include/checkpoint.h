// Checkpoints: a trained model on disk, next to the optimizer state that its training needs to resume.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gpt_model.h"
#include "run_flags.h"
#include "safetensors_file.h"
#include "stored_weights.h"

namespace hipgpt {

/// What a checkpoint records in addition to its weights.
struct CheckpointInfo {
  ModelConfig config;
  uint64_t tokenizer_hash = 0;          ///< Tokenizer::hash() of the vocabulary it was trained with
  int64_t step = 0;                     ///< training steps done
  TokenRoles roles = {};                ///< of the model that the run started from
  std::string tokenizer_settings = {};  ///< the same
};

/// Writes the weights of a model under Hugging Face's names and replaces `path` atomically. Throws Error if
/// the file cannot be written; an existing file then stays unchanged.
void save_checkpoint(const std::string& path, const GPTModel& model, const CheckpointInfo& info);

/// A checkpoint opened for reading. open() throws Error unless every tensor of the model is present, has its
/// shape and is finite.
class Checkpoint {
 public:
  static Checkpoint open(const std::string& path);

  const CheckpointInfo& info() const { return info_; }
  const std::string& path() const { return file_.path(); }
  /// The checksum of the weights; empty for a file that another program wrote.
  std::string checksum() const { return file_.checksum(); }

  /// Throws Error unless `hash` is that of the tokenizer the model was trained with and each of the model's V
  /// rows has a token. `path` is the tokenizer's path, for the message.
  void check_tokenizer(uint64_t hash, int vocab_size, const std::string& path) const;

  StoredWeights weights() const;

 private:
  explicit Checkpoint(SafetensorsFile file);

  SafetensorsFile file_;
  CheckpointInfo info_;
};

/// AdamW's running means of the gradient and of its square. Together with the weights, they let a run continue
/// exactly.
enum class Moment { kFirst, kSecond };
inline constexpr Moment kMoments[] = {Moment::kFirst, Moment::kSecond};

/// The metadata of an optimizer file. Batches, dropout and learning rates are functions of the step and the
/// flags, so these fields also capture the random state, the data position and the schedule.
struct OptimizerInfo {
  int64_t step = 0;
  std::string weights_checksum;  ///< checksum of the checkpoint it belongs to
  uint64_t data_hash = 0;        ///< hash of the text
  RunFlags flags;
  /// Whether the micro-batches of a step are rows of one batch, as DataLoader::random_batch() describes. In
  /// files of older versions, which lack this field, each micro-batch was a separate batch.
  bool one_batch_per_step = true;
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

  /// Copies a moment to values with the layout of the weights. Throws Error unless the file belongs to a model
  /// of the same config and every value is finite.
  void load(Moment moment, const GPTWeights& into, Device& device) const;

 private:
  explicit OptimizerFile(SafetensorsFile file);

  SafetensorsFile file_;
  OptimizerInfo info_;
};

/// Answers OptimizerFile::belongs_to() from the headers alone, without reading the tensors.
bool headers_belong_together(const std::string& optimizer_path, const std::string& checkpoint_path);

/// The flags stored in an optimizer file. Reads only its header.
RunFlags read_flags(const std::string& optimizer_path);

}  // namespace hipgpt
