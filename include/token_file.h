// Files of token ids, mapped into memory for reading: our tokens.bin, the shards of llm.c, and bare ids.
// src/data/details.md describes the layouts.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace hipgpt {

/// A token file opened for reading. The text may have any size: only the pages in use are in memory.
class TokenFile {
 public:
  /// How much of a file open() checks.
  enum class Check {
    kAll,    ///< header, size, checksum, every id below the vocabulary size: reads the file once
    kHeader  ///< header and size only, for a file that was checked before
  };

  /// Opens a tokens.bin.
  static TokenFile open(const std::string& path, Check check = Check::kAll);

  /// Whether these are the bytes of a token file in the format of llm.c's scripts.
  static bool is_llmc(std::string_view bytes);

  /// Opens an llm.c file. It records neither a checksum nor its vocabulary, so only header and size are
  /// checked.
  static TokenFile open_llmc(const std::string& path, uint64_t vocab_size);

  /// Opens a file of ids without a header: little-endian u16 (`token_bytes` 2) or u32 (4). Nothing but the
  /// size can be checked.
  static TokenFile open_headerless(const std::string& path, uint32_t token_bytes, uint64_t vocab_size);

  size_t size() const { return count_; }
  uint64_t vocab_size() const { return vocab_size_; }
  uint64_t text_bytes() const { return text_bytes_; }
  const std::string& path() const { return path_; }

  /// False for a stale file, made with another tokenizer or from another text. The vocabulary size is
  /// compared as well: the hashes in a header prove nothing, and the ids were checked against the size in the
  /// header.
  bool matches(uint64_t tokenizer_hash, uint64_t vocab_size, uint64_t text_hash) const {
    return tokenizer_hash == tokenizer_hash_ && vocab_size == vocab_size_ && text_hash == text_hash_;
  }

  /// Token i, i < size().
  int32_t operator[](size_t i) const {
    assert(i < count_);
    return token_bytes_ == 2 ? static_cast<const uint16_t*>(tokens_)[i]
                             : static_cast<int32_t>(static_cast<const uint32_t*>(tokens_)[i]);
  }

  /// out[0 .. count) = tokens first .. first + count, which must all exist. Throws Error for an id outside
  /// the vocabulary, which a damaged file may have.
  void copy(size_t first, size_t count, int32_t* out) const;

  /// A 64-bit hash that identifies the tokens: XXH3 of their number and of up to 64 evenly spaced pieces of 4
  /// KiB. It distinguishes files quickly but does not detect every flipped bit.
  uint64_t sample_hash() const;

  /// The checksum of a tokens.bin's header, which covers that of the tokens.
  uint64_t header_checksum() const { return header_checksum_; }

 private:
  TokenFile(std::string path, std::shared_ptr<const void> mapping, const void* tokens, size_t count,
            uint32_t token_bytes, uint64_t vocab_size)
      : path_(std::move(path)),
        mapping_(std::move(mapping)),
        tokens_(tokens),
        count_(count),
        token_bytes_(token_bytes),
        vocab_size_(vocab_size) {}

  std::string path_;
  std::shared_ptr<const void> mapping_;  // keeps the file in memory
  const void* tokens_;
  size_t count_;
  uint32_t token_bytes_;
  uint64_t vocab_size_;
  uint64_t tokenizer_hash_ = 0;
  uint64_t text_hash_ = 0;
  uint64_t text_bytes_ = 0;
  uint64_t header_checksum_ = 0;
};

/// Writes a token file piece by piece, in little memory. Only commit() replaces an older file of the same
/// name; without commit(), the older file stays unchanged.
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
