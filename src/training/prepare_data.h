// From a text file to a tokenizer and its tokens on disk.
#pragma once

#include <optional>
#include <string>

#include "run_folder.h"
#include "run_training.h"
#include "token_file.h"
#include "tokenizer.h"
#include "training/progress_line.h"
#include "util/mapped_file.h"

namespace hipgpt {

/// Makes what is missing or stale of tokenizer.json and tokens.bin, and says what it does.
///
/// A run that goes on from a checkpoint uses the tokenizer beside it, and one that starts from a given model
/// that model's. Another run keeps the tokenizer.json of its folder if that belongs to the text, which
/// tokens.bin remembers, or if there is no tokens.bin (then somebody put it there); otherwise, with --reset,
/// or when another vocabulary size is asked for, it learns a new one. That one replaces the old only with the
/// first checkpoint: until then an older checkpoint stays usable, whatever happens.
class PreparedData {
 public:
  /// A tokenizer that the run was given, and where it comes from.
  struct GivenTokenizer {
    Tokenizer tokenizer;
    std::string path;
  };

  /// Reads the text and chooses or trains the tokenizer. Writes nothing.
  PreparedData(const TrainingRun& run, const std::optional<GivenTokenizer>& given, const RunFolder& folder,
               ProgressLine& progress);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  /// Names the text by 64 bits.
  uint64_t data_hash() const { return text_hash_; }

  /// Opens tokens.bin, or makes it. A text too short for `seq_len` is an Error, and then nothing is replaced.
  TokenFile tokens(int seq_len);

  /// What is to be written as tokenizer.json with the first checkpoint; empty if the one in the folder is
  /// this.
  std::string unsaved_tokenizer() const { return unsaved_ ? tokenizer_->to_json() : ""; }

 private:
  void take(const GivenTokenizer& given);
  bool keep_existing_tokenizer();
  void train_tokenizer();
  void write_tokens(int seq_len);
  std::optional<TokenFile> open_tokens() const;

  const TrainingRun& run_;
  const RunFolder& folder_;
  ProgressLine& progress_;
  MappedFile text_;
  uint64_t text_hash_;
  std::string tokenizer_path_;
  std::optional<TokenFile> existing_tokens_;  // opened once: that reads the whole file
  std::optional<Tokenizer> tokenizer_;
  bool unsaved_ = false;
};

}  // namespace hipgpt
