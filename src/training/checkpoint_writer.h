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
/// At whatever point this is interrupted, a checkpoint exists that a run can resume from.
class CheckpointWriter {
 public:
  /// Values that stay the same from save to save.
  struct Run {
    int keep_last;
    bool keep_previous;          ///< false if the existing checkpoint is known to be incomplete
    std::string tokenizer_json;  ///< written with the first checkpoint; empty if it exists already
    uint64_t tokenizer_hash;
    uint64_t data_hash;
    RunFlags flags;
    TokenRoles roles = {};
  };

  CheckpointWriter(const RunFolder& folder, Device& device, const ModelConfig& config, Run run);
  ~CheckpointWriter();

  /// Starts a save. First waits for the previous save; if that failed, throws its error and saves nothing.
  void save(const GPTModel& model, const OptimizerState& optimizer);

  /// Waits for the last save. If it failed, throws its error once.
  void wait();

  /// Returns the step of the newest checkpoint that this run has completed.
  std::optional<int64_t> saved_step() const { return saved_step_; }

 private:
  /// The state of a run at one step, on the host.
  struct Snapshot {
    HostWeights weights, first_moment, second_moment;
    CheckpointInfo info;
  };

  void write();

  const RunFolder& folder_;
  Run run_;
  Snapshot snapshot_;
  std::future<void> writing_;
  std::optional<int64_t> saved_step_;
};

}  // namespace hipgpt
