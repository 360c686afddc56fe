#include "util/device_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace hipgpt {

std::string why_not_permitted(const std::string& path) {
  const int opened = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (opened >= 0) {
    ::close(opened);
    return "";
  }
  struct stat status;
  if ((errno != EACCES && errno != EPERM) || ::stat(path.c_str(), &status) != 0) return "";
  const group* owner = ::getgrgid(status.st_gid);
  const std::string name = owner != nullptr ? owner->gr_name : std::to_string(status.st_gid);
  return fmt::format(
      "{} may be opened by the group {} only; run 'sudo usermod -aG {} $USER' and log in again", path, name,
      name);
}

}  // namespace hipgpt
