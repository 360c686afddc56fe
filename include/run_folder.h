// RunFolder: where the artifacts of a training run are, and how a new checkpoint takes the place of an old
// one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hipgpt {

/// Without a name: tokenizer.json, tokens.bin, gpt_checkpoint.bin, metrics.jsonl and the report in the
/// working folder, and the checkpoint before the last one as gpt_checkpoint.previous.bin. With one: the same
/// in checkpoints/NAME/, where checkpoints are step_N.bin, and latest.bin links to the newest.
class RunFolder {
 public:
  /// Error for a name that is not one folder's.
  explicit RunFolder(const std::string& run_name);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Keeps other trainings out of the folder for as long as this object, and the process, lives. Error if one
  /// is at work there. A folder that is not there yet is left alone.
  void lock();

  /// Makes the folder if it has a name and is not there, locks it, and removes what a training that was
  /// killed left half written.
  void create();

  std::string tokenizer() const { return folder_ + "tokenizer.json"; }
  std::string tokens() const { return folder_ + "tokens.bin"; }
  std::string val_tokens() const { return folder_ + "val_tokens.bin"; }
  std::string hash_cache() const { return folder_ + "known_files.json"; }
  std::string metrics() const { return folder_ + "metrics.jsonl"; }
  std::string report() const { return folder_ + "report.md"; }
  std::string loss_curve() const { return folder_ + "loss.svg"; }

  /// Whether a file lies in this folder.
  bool holds(const std::string& file) const;

  /// Whether a training has written the file: it has such a name, and lies in this folder, in the working
  /// folder, or in a folder below checkpoints/. Event files of TensorBoard may lie anywhere.
  bool is_artifact(const std::string& file) const;

  /// Where the checkpoint of this step is written.
  std::string checkpoint(int64_t step) const;

  /// The newest checkpoint, to read.
  std::string latest() const;

  /// All that are there, the newest first: of a named run those up to the one that latest.bin links to.
  std::vector<std::string> checkpoints() const;

  /// Before an unnamed run replaces its checkpoint: the old one gets the name of the previous one, and keeps
  /// its own until the new one takes it. So at every moment there is a checkpoint with the optimizer file
  /// that belongs to it. If the run brings another tokenizer, the old one is kept as tokenizer.previous.json,
  /// in a named run too.
  void keep_previous(bool tokenizer_changes) const;

  /// After the checkpoint of this step is written: lets the `latest` link point to it, and of the checkpoints
  /// up to this step removes all but the `keep_last` newest. Those of later steps are from another run, and
  /// stay.
  void on_checkpoint_written(int64_t step, int keep_last) const;

 private:
  std::vector<int64_t> steps() const;

  std::string folder_;  // empty, or ends in a slash
  bool named_;
  int lock_ = -1;  // a descriptor of the folder, locked
};

/// The optimizer files that may belong to a checkpoint: the one beside it and, where a training was killed
/// between the two, the previous one.
std::vector<std::string> optimizer_candidates(const std::string& checkpoint);

/// The tokenizer that stands beside a checkpoint.
std::string tokenizer_beside(const std::string& checkpoint);

}  // namespace hipgpt
