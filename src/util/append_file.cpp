#include "util/append_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "error.h"
#include "util/files.h"

namespace hipgpt {

AppendFile::AppendFile(const std::string& path, Start start) : path_(path) {
  const std::string target = file_to_write(path);
  require_regular_if_there(path);
  const int mode = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  fd_ = ::open(target.c_str(), start == Start::kEmpty ? mode | O_TRUNC : mode, 0666);
  if (fd_ < 0) {
    throw Error(
        fmt::format("{}: cannot be opened for writing ({})", path, std::generic_category().message(errno)));
  }
}

AppendFile::~AppendFile() {
  ::close(fd_);
}

void AppendFile::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      throw Error(fmt::format("{}: cannot be written ({})", path_, std::generic_category().message(errno)));
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace hipgpt
