#include "run_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "checkpoint.h"
#include "error.h"

namespace hipgpt {

namespace fs = std::filesystem;

namespace {

constexpr const char* kLatest = "latest.bin";

/// N of "step_N.bin", or -1 for another name.
int64_t step_of(const std::string& name) {
  constexpr std::string_view kPrefix = "step_", kEnding = ".bin";
  if (!name.starts_with(kPrefix) || !name.ends_with(kEnding)) return -1;
  const char* first = name.data() + kPrefix.size();
  const char* last = name.data() + name.size() - kEnding.size();
  int64_t step = -1;
  const auto [end, error] = std::from_chars(first, last, step);
  return error == std::errc{} && end == last ? step : -1;
}

/// A symbolic link, replaced in one step: there is never a moment without it.
void replace_link(const fs::path& link, const std::string& target) {
  const fs::path temporary =
      link.parent_path() / fmt::format(".{}.tmp-{}", link.filename().string(), getpid());
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (!error) fs::rename(temporary, link, error);
  if (error) throw Error(fmt::format("{}: cannot make the link: {}", link.string(), error.message()));
}

}  // namespace

RunFolder::RunFolder(const std::string& run_name) : named_(!run_name.empty()) {
  if (!named_) return;
  if (run_name == "." || run_name == ".." || run_name.size() > 200 ||
      run_name.find('/') != std::string::npos) {
    throw Error(
        fmt::format("--run-name '{}': must name one folder, without '/' and in at most 200 bytes", run_name));
  }
  folder_ = "checkpoints/" + run_name + "/";
}

void RunFolder::create() const {
  if (!named_) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw Error(fmt::format("{}: cannot make the folder: {}", folder_, error.message()));
}

std::string RunFolder::checkpoint(int64_t step) const {
  return named_ ? fmt::format("{}step_{}.bin", folder_, step) : "gpt_checkpoint.bin";
}

std::string RunFolder::latest() const {
  return named_ ? folder_ + kLatest : "gpt_checkpoint.bin";
}

void RunFolder::published(int64_t step, int keep_last) const {
  if (!named_) return;
  const std::string name = fmt::format("step_{}.bin", step);
  replace_link(folder_ + kLatest, name);
  replace_link(optimizer_path(folder_ + kLatest), optimizer_path(name));

  std::vector<int64_t> earlier;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const int64_t other = step_of(entry.path().filename().string());
    if (other >= 0 && other < step) earlier.push_back(other);
  }
  std::sort(earlier.rbegin(), earlier.rend());
  for (size_t i = static_cast<size_t>(std::max(1, keep_last)) - 1; i < earlier.size(); ++i) {
    std::error_code ignored;  // what can't be removed only takes room
    fs::remove(checkpoint(earlier[i]), ignored);
    fs::remove(optimizer_path(checkpoint(earlier[i])), ignored);
  }
}

}  // namespace hipgpt
