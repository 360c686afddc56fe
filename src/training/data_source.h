// Where tokens come from: a text that is to be encoded, or token files of llm.c.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "run_folder.h"
#include "text.h"
#include "token_shards.h"
#include "training/hash_cache.h"
#include "util/parameter.h"

namespace hipgpt {

/// What the values of data_paths or val_data_paths name.
class DataSource {
 public:
  /// Of a folder's files, those that trainings have written in theirs are left out: `run_folder` knows them.
  /// An Error, beginning with `parameter`, for files that are missing, empty, unreadable or of both kinds.
  DataSource(Parameter parameter, const std::vector<std::string>& values, const RunFolder& run_folder);

  /// For messages: the file, or "7 files of" the parameter.
  std::string name() const;

  bool is_text() const { return text_.has_value(); }
  const Text& text() const { return *text_; }

  /// Whether <|endoftext|> has to be a token: there is more than one document, or one has it in its text.
  bool needs_end_of_text();

  /// Names the text or the tokens by 64 bits. Reads a whole text, unless `hashes` knows it.
  uint64_t hash(HashCache& hashes);

  /// The token files, which have no vocabulary of their own.
  TokenShards shards(uint64_t vocab_size) const;

 private:
  std::string parameter_;
  std::vector<std::string> files_;
  std::optional<Text> text_;
  std::optional<uint64_t> hash_;
  std::optional<Text::Facts> facts_;  // of the text, once it was read
};

}  // namespace hipgpt
