// Text: the documents that a tokenizer learns from or encodes, in memory or in files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hipgpt {

/// The special token between two documents.
inline constexpr std::string_view kEndOfText = "<|endoftext|>";

/// Documents in a fixed order. A file is mapped only while it is read, so a text may be larger than memory
/// and have more files than a process may map.
class Text {
 public:
  struct Document {
    std::string_view bytes;
    std::shared_ptr<const void> mapping;  ///< keeps `bytes` alive; null if they are in memory

    /// Releases the memory of bytes that will not be read again.
    void forget(std::string_view piece) const;
  };

  /// One document in memory, which must outlive this Text.
  explicit Text(std::string_view document);

  /// One document per file. Throws Error for a file that is missing, unreadable, empty or not a regular file.
  explicit Text(std::vector<std::string> paths);

  size_t num_documents() const { return paths_.empty() ? 1 : paths_.size(); }
  uint64_t bytes() const { return bytes_; }

  /// Throws Error if the file has another size than it had at first: what was found out about the text, such
  /// as its hash, would no longer hold.
  Document document(size_t i) const;

  /// Facts that take a full read of the text.
  struct Facts {
    /// A 64-bit hash that identifies the text: XXH3 of a single document. For several documents, XXH3 of the
    /// bytes of each followed by their number (u64). File names do not count.
    uint64_t hash;
    bool has_end_of_text;  ///< some document contains the characters <|endoftext|>
  };
  Facts read() const;

 private:
  std::string_view memory_;
  std::vector<std::string> paths_;
  std::vector<size_t> sizes_;  ///< of the files
  uint64_t bytes_;             ///< of all documents
};

}  // namespace hipgpt
