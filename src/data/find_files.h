// Finds the files that a parameter's values name.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace hipgpt {

/// Each value is a file, a folder or a shell pattern with *, ? and [] that matches files or folders. A folder
/// stands for all files below it except hidden ones and those for which `is_left_out` returns true, sorted by
/// the bytes of their paths. Throws Error, starting with `parameter`, for a value that yields no file.
std::vector<std::string> find_files(
    const std::string& parameter, const std::vector<std::string>& values,
    const std::function<bool(const std::string&)>& is_left_out = [](const std::string&) { return false; });

}  // namespace hipgpt
