// Turns texts or token files into a tokenizer and tokens for training.
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
  std::optional<TokenPart> val;  ///< nullopt without validation
};

/// Creates or updates tokenizer.json and tokens.bin as needed and reports it.
///
/// A run that continues from a checkpoint uses the tokenizer next to it. A run that starts from a given model
/// uses the model's tokenizer, and a run that was given a tokenizer uses that one. Any other run keeps the
/// tokenizer.json of its folder if tokens.bin shows that it belongs to the text. It also keeps it if there is
/// no tokens.bin, because then the user put it there. Otherwise, with `reset`, or for another vocabulary
/// size, the run trains a new tokenizer. A new tokenizer replaces the one in the folder only with the first
/// checkpoint, so an older checkpoint stays usable until then.
class PreparedData {
 public:
  /// A tokenizer given to the run, and its source.
  struct GivenTokenizer {
    Tokenizer tokenizer;
    std::string path;
  };

  /// Reads the data and chooses or trains the tokenizer. Writes nothing.
  PreparedData(const TrainingRun& run, const std::optional<GivenTokenizer>& given, const RunFolder& folder,
               Progress& progress);

  const Tokenizer& tokenizer() const { return *tokenizer_; }

  /// Opens the token files and creates those that are missing or stale. Throws Error, and replaces nothing,
  /// if the data are too short for `seq_len`.
  TrainingTokens tokens(int seq_len);

  /// Returns a 64-bit hash of the texts or token files and their validation part. The tokenizer does not
  /// affect it.
  uint64_t data_hash();

  /// Returns the name of the training data for messages.
  std::string data_name() const { return train_.name(); }

  /// Returns the text to write as tokenizer.json with the first checkpoint, or "" if the folder already has
  /// this tokenizer.
  std::string unsaved_tokenizer() const { return unsaved_ ? tokenizer_->to_json() : ""; }

 private:
  /// Tokens that are ready, or that are written but not yet committed.
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
  std::optional<TokenFile> existing_tokens_;  // opened only once because this may read the whole file
  std::optional<Tokenizer> tokenizer_;
  bool unsaved_ = false;
};

}  // namespace hipgpt
