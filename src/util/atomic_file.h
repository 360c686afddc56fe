// Atomic file replacement: a reader sees either the old file or the complete new one, whatever happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hipgpt {

/// Writes a file under a temporary name in the destination's folder and renames it once it is complete and on
/// disk. An existing file stays unchanged until the rename in commit(); without commit(), the destructor
/// removes the temporary file. If the path is a symbolic link, the link stays and its target is replaced; the
/// target must be in the same folder or below it (file_to_write()). Every failure throws Error.
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

  /// Replaces bytes written earlier, for a header that is known only at the end.
  void overwrite(uint64_t offset, std::span<const std::byte> bytes);

  /// Flushes and syncs; nothing can be written afterwards. If the system can drop the file from its page
  /// cache, a later read under the temporary name comes from the disk.
  void finish();
  const std::string& temporary() const { return temporary_; }

  /// Calls finish() if necessary, then renames. Call this last, and only once.
  void commit();

 private:
  void open_temporary();
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  void flush();
  void sync_folder() const;
  [[noreturn]] void fail(const char* what, int error) const;

  std::string path_;       // the path as the user gave it, for messages
  std::string target_;     // the file to replace: path_ with symbolic links resolved
  std::string temporary_;  // empty if there is no file to remove
  int fd_ = -1;
  uint64_t flushed_ = 0;  // bytes handed to the kernel
  std::vector<std::byte> buffer_;
};

/// Removes the temporary files that killed writers left in a folder (empty: the working folder), if `is_ours`
/// accepts their final name. No writer may be using them.
void remove_leftovers(const std::string& folder, const std::function<bool(const std::string&)>& is_ours);

/// Writes a whole small file in one call.
void write_file_atomically(const std::string& path, std::string_view text);

}  // namespace hipgpt
