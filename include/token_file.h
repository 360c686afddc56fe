// tokens.bin: a text as token ids, on disk, and mapped into memory to be read. src/data/README.md has the
// layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace hipgpt {

class MappedFile;

/// Names a text by 64 bits (XXH3), so that a token file knows which text it was made from.
uint64_t text_hash(std::string_view text);

/// A token file opened for reading. A text of any size is fine: what is in use is in memory, the rest on
/// disk.
class TokenFile {
 public:
  /// Checks the whole file (header, size, checksum, every id below the vocabulary size), which reads it once.
  static TokenFile open(const std::string& path);

  size_t size() const { return count_; }
  uint64_t vocab_size() const { return vocab_size_; }
  uint64_t text_bytes() const { return text_bytes_; }
  const std::string& path() const { return path_; }

  /// False for a stale file: one that another tokenizer or another text made.
  bool matches(uint64_t tokenizer_hash, uint64_t text_hash) const {
    return tokenizer_hash == tokenizer_hash_ && text_hash == text_hash_;
  }

  /// Token i, i < size().
  int32_t operator[](size_t i) const {
    return token_bytes_ == 2 ? static_cast<const uint16_t*>(tokens_)[i]
                             : static_cast<int32_t>(static_cast<const uint32_t*>(tokens_)[i]);
  }

  /// out[0 .. count) = tokens first .. first + count, which must all exist.
  void copy(size_t first, size_t count, int32_t* out) const;

 private:
  TokenFile() = default;

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  const void* tokens_ = nullptr;
  size_t count_ = 0;
  uint32_t token_bytes_ = 2;
  uint64_t vocab_size_ = 0;
  uint64_t tokenizer_hash_ = 0;
  uint64_t text_hash_ = 0;
  uint64_t text_bytes_ = 0;
};

/// Writes a token file piece by piece, in little memory. Until commit() returns, an older file of that name
/// stays as it was; without commit(), it stays so for good.
class TokenFileWriter {
 public:
  TokenFileWriter(const std::string& path, uint64_t vocab_size, uint64_t tokenizer_hash, uint64_t text_hash,
                  uint64_t text_bytes);
  ~TokenFileWriter();

  void append(std::span<const int32_t> tokens);
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hipgpt
