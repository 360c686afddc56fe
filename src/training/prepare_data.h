// From texts or token files to a tokenizer and tokens to train on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "data_loader.h"
#include "records/progress.h"
#include "run_folder.h"
#include "run_training.h"
#include "token_shards.h"
#include "tokenizer.h"
#include "training/data_source.h"
#include "training/hash_cache.h"

namespace hipgpt {

/// Tokens [begin, end) of some files.
struct TokenPart {
  TokenShards tokens;
  size_t begin = 0, end = 0;
};

struct TrainingTokens {
  TokenPart train;
  std::optional<TokenPart> val;  ///< none: there is no validation
};

/// Makes what is missing or stale of tokenizer.json and tokens.bin, and reports it.
///
/// A run that continues from a checkpoint uses the tokenizer beside it. One that starts from a given model
/// uses that model's, and one that was given a tokenizer uses that. Another run keeps the tokenizer.json of
/// its folder if that belongs to the text, which tokens.bin remembers, or if there is no tokens.bin (then the
/// user put it there); otherwise, with `reset`, or when another vocabulary size is asked for, it learns a
/// new one. A tokenizer that is not the one in the folder replaces it only with the first checkpoint: until
/// then an older checkpoint stays usable, whatever happens.
class PreparedData {
 public:
  /// A tokenizer that the run was given, and where it comes from.
  struct GivenTokenizer {
    Tokenizer tokenizer;
    std::string path;
  };

  /// Reads the data and chooses or trains the tokenizer. Writes nothing.
  PreparedData(const TrainingRun& run, const std::optional<GivenTokenizer>& given, const RunFolder& folder,
               Progress& progress);

  const Tokenizer& tokenizer() const { return *tokenizer_; }

  /// Opens the token files, and makes those that are missing or stale. Data too short for `seq_len` is an
  /// Error, and then nothing is replaced.
  TrainingTokens tokens(int seq_len);

  /// Names the data by 64 bits: texts or token files, and what of them is for validation. The tokenizer is no
  /// part of it.
  uint64_t data_hash();

  /// For messages.
  std::string data_name() const { return train_.name(); }

  /// What is to be written as tokenizer.json with the first checkpoint; empty if the one in the folder is
  /// this.
  std::string unsaved_tokenizer() const { return unsaved_ ? tokenizer_->to_json() : ""; }

 private:
  /// Tokens that are ready, or are written but not yet in place.
  struct Encoded;

  void take(const GivenTokenizer& given);
  bool keep_existing_tokenizer();
  bool matches(const TokenFile& tokens, DataSource& source);
  void train_tokenizer();
  void check_end_of_text(DataSource& source) const;
  std::optional<TokenFile> open_tokens(const std::string& path);
  Encoded encode(DataSource& source, const std::string& path, std::optional<TokenFile> existing);
  TokenShards put_in_place(Encoded encoded) const;

  const TrainingRun& run_;
  const RunFolder& folder_;
  Progress& progress_;
  HashCache hashes_;
  DataSource train_;
  std::optional<DataSource> val_;
  std::string tokenizer_path_;
  std::optional<TokenFile> existing_tokens_;  // opened once: that may read the whole file
  std::optional<Tokenizer> tokenizer_;
  bool unsaved_ = false;
};

}  // namespace hipgpt
