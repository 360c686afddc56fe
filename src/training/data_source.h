// The source of tokens: a text to encode, or token files of other programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "records/progress.h"
#include "run_folder.h"
#include "text.h"
#include "token_shards.h"
#include "training/hash_cache.h"
#include "util/parameter.h"

namespace hipgpt {

/// The data that the values of data_paths or val_data_paths name.
class DataSource {
 public:
  /// In folders it skips files that `run_folder` recognises as output of training runs. Empty files are
  /// skipped and reported, and so are files that look like something else than they are read as. `id_type` is
  /// TrainingRun::tokens. Throws Error, starting with `parameter`, if files are missing, all empty,
  /// unreadable, of a format that is neither text nor ids, or of both kinds.
  DataSource(Parameter parameter, const std::vector<std::string>& values, const std::string& id_type,
             const RunFolder& run_folder, Progress& progress);

  /// Returns the name for messages: the file, or "7 files of" the parameter.
  std::string name() const;

  bool is_text() const { return text_.has_value(); }
  const Text& text() const { return *text_; }

  /// Returns whether <|endoftext|> must be a token: there are several documents, or one contains it.
  bool needs_end_of_text();

  /// Returns a 64-bit hash of the text or the tokens. Reads a whole text unless `hashes` has its hash.
  uint64_t hash(HashCache& hashes);

  /// Opens the token files, which do not store their vocabulary size.
  TokenShards shards(uint64_t vocab_size) const;

 private:
  /// Sorts out the files found: `files_` and `text_`.
  void survey(const std::vector<std::string>& found, Progress& progress);

  std::string parameter_;
  uint32_t id_bytes_;  // of files without a header; 0: there are none
  std::vector<std::string> files_;
  std::optional<Text> text_;
  std::optional<uint64_t> hash_;
  std::optional<Text::Facts> facts_;  // known once the text has been read
};

}  // namespace hipgpt
