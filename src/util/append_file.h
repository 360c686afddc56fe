// AppendFile: a file that grows during a run, such as metrics.jsonl.
#pragma once

#include <string>
#include <string_view>

namespace hipgpt {

/// Every write reaches the system at once, so a process that is killed loses none of them. Links are followed
/// as file_to_write() says, and only a regular file is opened.
class AppendFile {
 public:
  enum class Start { kEmpty, kKeep };  ///< of a file that is there: empty it, or add to it

  /// Error if the file cannot be written, here and below.
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
