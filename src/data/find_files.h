// The files that the values of a parameter name.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace hipgpt {

/// Each value is a file, a folder (all files below it, but hidden ones, by the order of their paths' bytes),
/// or a pattern of the shell with *, ? and [] whose matches are files or folders. Of a folder's files those
/// that `is_left_out` says are left out. An Error, beginning with `parameter`, for a value that gives no
/// file.
std::vector<std::string> find_files(
    const std::string& parameter, const std::vector<std::string>& values,
    const std::function<bool(const std::string&)>& is_left_out = [](const std::string&) { return false; });

}  // namespace hipgpt
