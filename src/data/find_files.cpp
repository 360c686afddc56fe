#include "data/find_files.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "error.h"
#include "util/files.h"
#include "util/name_errors.h"

namespace hipgpt {
namespace {

namespace fs = std::filesystem;

using Predicate = std::function<bool(const std::string&)>;

/// Returns the files in a folder and its subfolders, sorted by path. Does not follow links to folders.
std::vector<std::string> files_below(const std::string& parameter, const std::string& folder,
                                     const Predicate& is_left_out) {
  std::vector<std::string> files;
  try {
    for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::end(entry); ++entry) {
      const std::string path = entry->path().string();
      const bool hidden = entry->path().filename().string().starts_with('.');
      if (hidden) entry.disable_recursion_pending();
      const FileKind kind = name_errors(parameter, [&] { return file_kind(path); });
      if (!hidden && kind == FileKind::kRegular && !is_left_out(path)) files.push_back(path);
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(fmt::format("{} {}: cannot be read ({}): {}", parameter, folder, error.path1().string(),
                            error.code().message()));
  }
  if (files.empty())
    throw Error(fmt::format("{} {}: the folder contains no usable file; name another folder or a file",
                            parameter, folder));
  std::ranges::sort(files);
  return files;
}

/// Returns the matches sorted by their bytes. A name without a pattern matches nothing.
std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> matches;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    matches.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  ::globfree(&found);
  std::ranges::sort(matches);
  return matches;
}

}  // namespace

std::vector<std::string> find_files(const std::string& parameter, const std::vector<std::string>& values,
                                    const Predicate& is_left_out) {
  std::vector<std::string> files;
  for (const std::string& value : values) {
    // An existing file with exactly this name takes precedence, even if the name contains pattern characters.
    const bool exists = name_errors(parameter, [&] { return file_exists(value); });
    const auto names = exists ? std::vector{value} : matches_of(value);
    if (names.empty()) {
      const bool pattern = value.find_first_of("*?[") != std::string::npos;
      throw Error(fmt::format("{} {}: {} (./scripts/download_data.sh downloads a text)", parameter, value,
                              pattern ? "matches no file" : "no such file"));
    }
    for (const std::string& name : names) {
      if (is_folder(name)) {
        std::ranges::move(files_below(parameter, name, is_left_out), std::back_inserter(files));
      } else {
        files.push_back(name);
      }
    }
  }
  return files;
}

}  // namespace hipgpt
