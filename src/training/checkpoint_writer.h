// CheckpointWriter: saves a run while training continues.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint.h"
#include "checkpoint/write_checkpoint.h"
#include "run_folder.h"
#include "trainer.h"

namespace hipgpt {

/// A save delays training only by copying weights and moments to the host, 12 bytes per parameter. A separate
/// thread writes, syncs and reads back. A checkpoint replaces the previous one only after all of it is on
/// disk and has been read back correctly:
///
///   write and sync all files under temporary names;  read them back, checksums too;
///   keep the old checkpoint under the name of the previous one;  rename optimizer, tokenizer, weights.
///
/// At whatever point this is interrupted, a checkpoint exists that a run can resume from. This also holds if
/// only the weights of the last step can be saved, because the disk is full.
class CheckpointWriter {
 public:
  /// Values that stay the same from save to save.
  struct Run {
    int keep_last;
    bool keep_best;              ///< whether saves may be of the best state
    bool keep_previous;          ///< false if the existing checkpoint is known to be incomplete
    std::string tokenizer_json;  ///< written with the first checkpoint; empty if it exists already
    uint64_t tokenizer_hash;
    uint64_t data_hash;
    RunFlags flags;
    TokenRoles roles = {};
    std::string tokenizer_settings = {};
  };

  CheckpointWriter(const RunFolder& folder, Device& device, const ModelConfig& config, Run run);
  ~CheckpointWriter();

  /// Starts a save. First waits for the previous save; if that failed, throws its error and saves nothing.
  /// `is_best`: the checkpoint is also kept as the best one.
  void save(const GPTModel& model, Trainer& trainer, bool is_best = false);

  /// Waits for the last save. If it failed, throws its error once.
  void wait();

  /// After wait() threw: starts the same save again.
  void retry();

  /// After wait() threw: writes the weights without the optimizer state, a third of the bytes. They become
  /// the newest checkpoint, which generates text but cannot be resumed exactly; the older ones stay. Returns
  /// false, and changes nothing, if that fails too.
  bool save_weights_alone();

  /// How many bytes a save writes.
  uint64_t weights_bytes() const { return weights_bytes_; }
  uint64_t bytes() const { return 3 * weights_bytes_; }  // each moment is as large as the weights

  /// How many bytes `saves` saves add to the folder at their peak: all the checkpoints that are kept and the
  /// one that is being written, less those that are there.
  uint64_t peak_bytes(int64_t saves) const;

  /// Returns the step of the newest checkpoint that this run has completed.
  std::optional<int64_t> saved_step() const { return saved_step_; }

 private:
  /// The state of a run at one step, on the host.
  struct Snapshot {
    HostWeights weights, first_moment, second_moment;
    CheckpointInfo info;
    bool is_best = false;
  };

  void write(bool with_optimizer);

  const RunFolder& folder_;
  Run run_;
  uint64_t weights_bytes_;
  Snapshot snapshot_;
  std::future<void> writing_;
  std::optional<int64_t> saved_step_;
};

}  // namespace hipgpt
