// HashCache: hashes of large files, kept from run to run so that a start need not read the files again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hipgpt {

/// What the file system knows about some files: device, inode, size and times of change of each. Replacing a
/// file or writing to it changes that.
struct FileStamp {
  std::string text;      // 16 hexadecimal digits
  uint64_t bytes = 0;    // of all files together
  bool settled = false;  // false while a file is so new that a change might still have the same time

  explicit FileStamp(const std::vector<std::string>& paths);
};

/// A number for each stamp, kept in a small JSON file. Small files are not worth it: below kWorthIt they are
/// read each time, and no JSON file is written.
class HashCache {
 public:
  static constexpr uint64_t kWorthIt = uint64_t{1} << 28;

  /// Reads what an earlier run has left at `path`, if anything.
  explicit HashCache(std::string path);

  std::optional<uint64_t> get(const FileStamp& stamp) const;

  /// `stamp` must have been taken before the files were read.
  void put(const FileStamp& stamp, uint64_t value);

  /// Writes what is new. Where it cannot, files are merely read again next time.
  void save();

 private:
  std::string path_;
  std::map<std::string, uint64_t> known_;  // by stamp
  bool changed_ = false;
};

}  // namespace hipgpt
