// HashCache: stores hashes of large files between runs, so that a new run need not read the files again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hipgpt {

/// Identifies the content of files by their device, inode, size and change times. Replacing a file or writing
/// to it changes the stamp.
struct FileStamp {
  std::string text;      // 16 hexadecimal digits
  uint64_t bytes = 0;    // of all files together
  bool settled = false;  // false if a file is so new that another change could get the same time

  explicit FileStamp(const std::vector<std::string>& paths);
};

/// Maps stamps to numbers in a small JSON file. Files that total less than kWorthIt bytes are read each time
/// and not cached.
class HashCache {
 public:
  static constexpr uint64_t kWorthIt = uint64_t{1} << 28;

  /// Reads the cache that an earlier run left at `path`, if it exists.
  explicit HashCache(std::string path);

  std::optional<uint64_t> get(const FileStamp& stamp) const;

  /// The caller must take `stamp` before it reads the files.
  void put(const FileStamp& stamp, uint64_t value);

  /// Writes new entries. If this fails, the next run reads the files again.
  void save();

 private:
  std::string path_;
  std::map<std::string, uint64_t> known_;  // by stamp
  bool changed_ = false;
};

}  // namespace hipgpt
