// What kind of file a path names, with consistent error messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace hipgpt {

/// The folder of a file; "." if the path is only a name.
std::string folder_of(const std::string& file);

/// The free bytes that this process may use on the file system of a folder; nullopt if it does not tell.
std::optional<uint64_t> free_bytes(const std::string& folder);

enum class FileKind { kNone, kRegular, kFolder, kOther };  ///< kOther: a pipe, a device or a socket

/// Follows symbolic links; a dangling link is kNone. Throws Error if the kind cannot be determined: for links
/// that form a loop, a folder that may not be entered, or a name that is too long.
FileKind file_kind(const std::string& path);

inline bool file_exists(const std::string& path) {
  return file_kind(path) != FileKind::kNone;
}
inline bool is_folder(const std::string& path) {
  return file_kind(path) == FileKind::kFolder;
}

/// Throws Error if `path` exists and is not a regular file. Opens nothing, because opening a pipe waits for
/// its other end and opening a device may have side effects.
void require_regular_if_there(const std::string& path);

/// The file that a write to `path` modifies: `path` itself or, for a symbolic link, its target, which need
/// not exist. A run's folder may come from an untrusted source. This function therefore throws Error for a
/// link that leads out of the folder of `path`, and for links that form a loop.
std::string file_to_write(const std::string& path);

}  // namespace hipgpt
