// CheckpointWriter: saves a run while it trains.
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

/// A save costs the training one copy of weights and moments to the host, 12 bytes a parameter. Writing,
/// syncing and reading back are done on a thread of their own. Only when everything of a checkpoint is on the
/// disk and has been read back right does it take the place of the one before:
///
///   write and sync all files under temporary names;  read them back, checksums too;
///   keep the old checkpoint under the name of the previous one;  rename optimizer, tokenizer, weights.
///
/// Wherever this is cut off, there is a checkpoint that a run can resume from.
class CheckpointWriter {
 public:
  /// What stays the same from save to save.
  struct Run {
    int keep_last;
    bool keep_previous;          ///< false if what is there is known not to be a whole checkpoint
    std::string tokenizer_json;  ///< to be written with the first checkpoint; empty: it is there already
    uint64_t tokenizer_hash;
    uint64_t data_hash;
    std::vector<std::string> flags;
  };

  CheckpointWriter(const RunFolder& folder, Device& device, const ModelConfig& config, Run run);
  ~CheckpointWriter();

  /// Starts to save. First waits for the save before, whose failure is thrown; nothing is saved then.
  void save(const GPTModel& model, const OptimizerState& optimizer);

  /// Waits for the save that was started last. Throws its failure, once.
  void wait();

  /// Of the newest checkpoint that this run has completed.
  std::optional<int64_t> saved_step() const { return saved_step_; }

 private:
  /// A run at one moment, on the host.
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
