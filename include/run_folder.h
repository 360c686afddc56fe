// RunFolder: where the artifacts of a training run are, and how a new checkpoint replaces an old one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hipgpt {

/// An unnamed run keeps tokenizer.json, tokens.bin, gpt_checkpoint.bin, metrics.jsonl and the report in the
/// working folder, and its second-newest checkpoint as gpt_checkpoint.previous.bin. A named run keeps the
/// same files in checkpoints/NAME/, where checkpoints are step_N.bin and latest.bin links to the newest.
class RunFolder {
 public:
  /// Throws Error unless the name is valid for a single folder.
  explicit RunFolder(const std::string& run_name);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Locks other training runs out of the folder while this object and the process live. Throws Error if
  /// another run holds the lock. Does nothing if the folder does not exist yet.
  void lock();

  /// Creates the folder of a named run if it does not exist, locks it, and removes the half-written files of
  /// a killed run.
  void create();

  std::string tokenizer() const { return folder_ + "tokenizer.json"; }
  std::string tokens() const { return folder_ + "tokens.bin"; }
  std::string val_tokens() const { return folder_ + "val_tokens.bin"; }
  std::string hash_cache() const { return folder_ + "known_files.json"; }
  std::string metrics() const { return folder_ + "metrics.jsonl"; }
  std::string report() const { return folder_ + "report.md"; }
  std::string loss_curve() const { return folder_ + "loss.svg"; }

  /// Whether a file is in this folder.
  bool holds(const std::string& file) const;

  /// Whether a training run wrote the file. Such a file has the name of an artifact and is in this folder, in
  /// the working folder, or in a folder below checkpoints/. TensorBoard event files may be anywhere.
  bool is_artifact(const std::string& file) const;

  /// Where the checkpoint of this step is written.
  std::string checkpoint(int64_t step) const;

  /// The newest checkpoint, for reading.
  std::string latest() const;

  /// All existing checkpoints, newest first. For a named run, the list starts at the target of latest.bin.
  std::vector<std::string> checkpoints() const;

  /// How many checkpoints stay after a save: `keep_last` of a named run, otherwise two.
  int checkpoints_kept(int keep_last) const;

  /// Call this before an unnamed run replaces its checkpoint. It gives the old checkpoint the previous
  /// checkpoint's name too; the old one keeps its own name until the new one replaces it. A checkpoint with
  /// its matching optimizer file therefore exists at every moment. If the tokenizer changes, the old one is
  /// kept as tokenizer.previous.json, also in a named run.
  void keep_previous(bool tokenizer_changes) const;

  /// The checkpoint of the lowest validation loss, if the run keeps it.
  std::string best() const;

  /// Call this after the checkpoint of this step is written, if its validation loss is the lowest. If it is
  /// interrupted, the best checkpoint may lack its optimizer file.
  void keep_best(int64_t step) const;

  /// Removes the optimizer file of the checkpoint of this step, if it exists.
  void remove_optimizer(int64_t step) const;

  /// Call this after the checkpoint of this step is written. It points the `latest` link to the checkpoint
  /// and removes all but the `keep_last` newest checkpoints up to this step. Checkpoints of later steps come
  /// from another run and stay.
  void on_checkpoint_written(int64_t step, int keep_last) const;

 private:
  std::vector<int64_t> steps() const;

  std::string folder_;  // empty, or ends in a slash
  bool named_;
  int lock_ = -1;  // locked file descriptor of the folder
};

/// The optimizer files that may belong to a checkpoint: the one next to it and, if a run was killed between
/// writing the two files, the previous one.
std::vector<std::string> optimizer_candidates(const std::string& checkpoint);

/// Whether this is the optimizer file of the previous checkpoint of an unnamed run.
bool is_previous_optimizer(const std::string& optimizer);

/// The tokenizer next to a checkpoint.
std::string tokenizer_beside(const std::string& checkpoint);

}  // namespace hipgpt
