// RunFolder: where the artifacts of a training run are.
#pragma once

#include <cstdint>
#include <string>

namespace hipgpt {

/// Without a name: tokenizer.json, tokens.bin, gpt_checkpoint.bin and metrics.jsonl in the working folder.
/// With one: the same in checkpoints/NAME/, where checkpoints are step_N.bin, and latest.bin links to the
/// newest.
class RunFolder {
 public:
  /// Error for a name that is not one folder's.
  explicit RunFolder(const std::string& run_name);

  /// Makes the folder if it has a name and is not there.
  void create() const;

  std::string tokenizer() const { return folder_ + "tokenizer.json"; }
  std::string tokens() const { return folder_ + "tokens.bin"; }
  std::string metrics() const { return folder_ + "metrics.jsonl"; }

  /// Where the checkpoint of this step is written.
  std::string checkpoint(int64_t step) const;

  /// The newest checkpoint, to read.
  std::string latest() const;

  /// After the checkpoint of this step is written: lets the `latest` links point to it, and of the
  /// checkpoints up to this step removes all but the `keep_last` newest. Those of later steps are somebody
  /// else's, and stay.
  void published(int64_t step, int keep_last) const;

 private:
  std::string folder_;  // empty, or ends in a slash
  bool named_;
};

}  // namespace hipgpt
