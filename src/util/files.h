// What stands under the name of a file, asked in one way and answered in our own words.
#pragma once

#include <string>

namespace hipgpt {

/// The folder that a file is in; "." for a name alone.
std::string folder_of(const std::string& file);

enum class FileKind { kNone, kRegular, kFolder, kOther };  ///< kOther: a pipe, a device or a socket

/// Follows symbolic links; a link to nothing is kNone. Error if that cannot be found out: links that form a
/// loop, a folder on the way that may not be entered, a name that is too long.
FileKind file_kind(const std::string& path);

inline bool file_exists(const std::string& path) {
  return file_kind(path) != FileKind::kNone;
}
inline bool is_folder(const std::string& path) {
  return file_kind(path) == FileKind::kFolder;
}

/// Error if `path` is there and is not a regular file. Nothing is opened: to open a pipe would wait for its
/// other end, and to open a device may move it.
void require_regular_if_there(const std::string& path);

/// The file that is written when `path` is: `path` itself or, where it is a symbolic link, the file it leads
/// to, which need not exist. A run's folder may come from a stranger, so Error for a link that leads out of
/// the folder that `path` is in, and for links that form a loop.
std::string file_to_write(const std::string& path);

}  // namespace hipgpt
