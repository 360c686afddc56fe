// Files that are either the old one or the whole new one, whatever happens in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hipgpt {

/// Writes a file under a temporary name in the folder of its final one, and renames it when it is complete
/// and on the disk. Until commit() returns, whatever stood under the final name is untouched; without
/// commit(), the destructor removes the temporary file. A symbolic link survives, and the file that it leads
/// to is replaced, if that lies in the same folder or below it (file_to_write()). Every failure is an Error.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }

  /// Appends.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  /// Replaces bytes that were written before: for a header that is known only at the end.
  void overwrite(uint64_t offset, std::span<const std::byte> bytes);

  /// Flushes and syncs; nothing can be written any more. What is then read under the temporary name comes
  /// from the disk, not from memory, where the system knows how to forget what it holds of a file.
  void finish();
  const std::string& temporary() const { return temporary_; }

  /// Finishes, if that is not done, and renames. Call it last, and once.
  void commit();

 private:
  void open_temporary();
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  void flush();
  void sync_folder() const;
  [[noreturn]] void fail(const char* what, int error) const;

  std::string path_;       // as the user named it, for messages
  std::string target_;     // the file itself, when path_ is a symbolic link
  std::string temporary_;  // empty when there is none to remove
  int fd_ = -1;
  uint64_t flushed_ = 0;  // bytes handed to the kernel
  std::vector<std::byte> buffer_;
};

/// Removes from a folder (empty: the working folder) what writers that were killed have left there: temporary
/// files whose final name `is_ours` knows. Nobody may be writing them now.
void remove_leftovers(const std::string& folder, const std::function<bool(const std::string&)>& is_ours);

/// The whole of a small file in one call.
void write_file_atomically(const std::string& path, std::string_view text);

}  // namespace hipgpt
