// TokenShards: several token files, concatenated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "token_file.h"

namespace hipgpt {

/// Tokens 0 .. size() - 1 of some files in a fixed order. A sequence may cross from one file into the next,
/// as it may cross documents within one file. Copies share the mappings.
class TokenShards {
 public:
  TokenShards() = default;
  TokenShards(TokenFile file) : TokenShards(std::vector<TokenFile>{std::move(file)}) {}  // one is many of one
  explicit TokenShards(std::vector<TokenFile> files);

  size_t size() const { return ends_.empty() ? 0 : ends_.back(); }

  /// A name for messages: the path of a single file, or the paths of the first and the last file.
  std::string name() const;

  /// out[0 .. count) = tokens first .. first + count, which must all exist.
  void copy(size_t first, size_t count, int32_t* out) const;

  /// A 64-bit hash that identifies the tokens, like TokenFile::sample_hash().
  uint64_t sample_hash() const;

 private:
  std::vector<TokenFile> files_;
  std::vector<size_t> ends_;  // of each file: the index at which the next one begins
};

}  // namespace hipgpt
