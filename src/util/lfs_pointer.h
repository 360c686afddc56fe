// Git LFS pointers: small texts that a clone has in place of its large files.
#pragma once

#include <string_view>

#include "error.h"

namespace hipgpt {

inline constexpr const char* kLfsPointerFault =
    "is a Git LFS pointer, not the file itself; git lfs pull fetches the file";

inline bool is_lfs_pointer(std::string_view contents) {
  return contents.starts_with("version https://git-lfs.github.com/spec/");
}

/// Throws Error if a file's contents are a pointer. The caller names the file.
inline void refuse_lfs_pointer(std::string_view contents) {
  if (is_lfs_pointer(contents)) throw Error(kLfsPointerFault);
}

}  // namespace hipgpt
