// AppendFile: a file that grows during a run, such as metrics.jsonl.
#pragma once

#include <string>
#include <string_view>

namespace hipgpt {

/// Every write reaches the operating system at once, so a killed process loses no writes. Symbolic links are
/// resolved by file_to_write(), and only a regular file is opened.
class AppendFile {
 public:
  enum class Start { kEmpty, kKeep };  ///< empty an existing file, or append to it

  /// This constructor and write() throw Error if the file cannot be written.
  AppendFile(const std::string& path, Start start);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  const std::string& path() const { return path_; }
  void write(std::string_view text);

 private:
  std::string path_;
  int fd_;
};

}  // namespace hipgpt
