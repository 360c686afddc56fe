// TokenShards: token files one after the other, as if they were one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "token_file.h"

namespace hipgpt {

/// Tokens 0 .. size() - 1 of some files in a fixed order. There is no border between them: like two documents
/// in one file, they meet within a sequence. Copies share the mappings.
class TokenShards {
 public:
  TokenShards() = default;
  TokenShards(TokenFile file) : TokenShards(std::vector<TokenFile>{std::move(file)}) {}  // one is many of one
  explicit TokenShards(std::vector<TokenFile> files);

  size_t size() const { return ends_.empty() ? 0 : ends_.back(); }

  /// For messages: the path of a single file, or those of the first and the last.
  std::string name() const;

  /// out[0 .. count) = tokens first .. first + count, which must all exist.
  void copy(size_t first, size_t count, int32_t* out) const;

  /// Names the tokens by 64 bits, as TokenFile::sample_hash() does.
  uint64_t sample_hash() const;

 private:
  std::vector<TokenFile> files_;
  std::vector<size_t> ends_;  // of each file: where the next one begins
};

}  // namespace hipgpt
