// Text: what a tokenizer learns from and encodes. One document or many, in memory or in files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hipgpt {

/// What stands between two documents, as a special token.
inline constexpr std::string_view kEndOfText = "<|endoftext|>";

/// Documents in a fixed order. Those in files are mapped only while they are read, so a text may be larger
/// than memory, and have more files than a process may map.
class Text {
 public:
  struct Document {
    std::string_view bytes;
    std::shared_ptr<const void> mapping;  ///< which keeps `bytes` alive; null if they are in memory

    /// Lets go of the memory of bytes that will not be read again.
    void forget(std::string_view piece) const;
  };

  /// One document in memory, which must live as long as this.
  explicit Text(std::string_view document);

  /// A document in each file. An Error for one that is missing, unreadable, empty or no regular file.
  explicit Text(std::vector<std::string> paths);

  size_t num_documents() const { return paths_.empty() ? 1 : paths_.size(); }
  uint64_t bytes() const { return bytes_; }

  Document document(size_t i) const;

  /// What reading a text from end to end tells about it.
  struct Facts {
    /// Names the text by 64 bits: XXH3 of a single document; of many, of the bytes of each followed by their
    /// number (u64). Names of files are no part of it.
    uint64_t hash;
    bool has_end_of_text;  ///< some document has the characters <|endoftext|>
  };
  Facts read() const;

 private:
  std::string_view memory_;
  std::vector<std::string> paths_;
  uint64_t bytes_;
};

}  // namespace hipgpt
