// A memory-mapped file: the kernel reads a page when it is first touched and may drop it again.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace hipgpt {

/// A read-only view of a whole regular file. The bytes are valid as long as this object lives.
///
/// HipGPT replaces files by renaming a new one over them, which leaves a mapping of the old one intact.
/// If another program shortens the file in place, touching a lost page ends the process: by SIGBUS or, after
/// report_mapping_faults(), with a message. The rest of the last page reads as zeros.
class MappedFile {
 public:
  /// Tells the kernel whether to read ahead.
  enum class Access { kSequential, kRandom };

  MappedFile(const std::string& path, Access access);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  void advise(Access access) const;

  /// Releases the memory of a part that is no longer in use. It is read again if touched.
  void forget(std::string_view part) const;

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }
  std::string_view text() const { return {static_cast<const char*>(data_), size_}; }

 private:
  void* data_ = nullptr;  // null for an empty file, which cannot be mapped
  size_t size_ = 0;
};

}  // namespace hipgpt
