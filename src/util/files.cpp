#include "util/files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "error.h"

namespace hipgpt {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // Linux follows as many

[[noreturn]] void fail_on_loop(const std::string& path) {
  throw Error(fmt::format("{}: its symbolic links form a loop; remove them or name another file", path));
}

/// Whether `file` is in this folder or below it, comparing real paths.
bool is_below(const fs::path& file, const fs::path& folder) {
  std::error_code error;
  const fs::path real_folder = fs::canonical(folder, error);
  if (error) return false;
  const fs::path real_place = fs::canonical(folder_of(file.string()), error);
  if (error) return false;
  return std::mismatch(real_folder.begin(), real_folder.end(), real_place.begin(), real_place.end()).first ==
         real_folder.end();
}

}  // namespace

std::string folder_of(const std::string& file) {
  const std::string folder = fs::path(file).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::optional<uint64_t> free_bytes(const std::string& folder) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.capacity == 0) return std::nullopt;  // some network file systems report zeros
  return space.available;
}

FileKind file_kind(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISREG(status.st_mode)) return FileKind::kRegular;
    return S_ISDIR(status.st_mode) ? FileKind::kFolder : FileKind::kOther;
  }
  if (errno == ENOENT || errno == ENOTDIR) return FileKind::kNone;
  if (errno == ELOOP) fail_on_loop(path);
  if (errno == EACCES)
    throw Error(fmt::format("{}: not readable; check the permissions of its folder", path));
  throw Error(fmt::format("{}: cannot be opened ({})", path, std::generic_category().message(errno)));
}

void require_regular_if_there(const std::string& path) {
  switch (file_kind(path)) {
    case FileKind::kFolder: throw Error(fmt::format("{}: is a folder; name a file in it", path));
    case FileKind::kOther:
      throw Error(fmt::format("{}: is a pipe or a device; copy its contents to a file and name that", path));
    default: return;
  }
}

std::string file_to_write(const std::string& path) {
  fs::path target = path;
  std::error_code ignored;
  for (int links = 0; fs::is_symlink(target, ignored); ++links) {
    if (links == kMostLinks) fail_on_loop(path);
    target = target.parent_path() / fs::read_symlink(target, ignored);
  }
  if (target != fs::path(path) && !is_below(target, folder_of(path))) {
    throw Error(
        fmt::format("{}: is a symbolic link out of its folder, to {}, and was not followed; remove the link",
                    path, target.string()));
  }
  return target.string();
}

}  // namespace hipgpt
