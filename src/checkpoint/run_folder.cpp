#include "run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <set>

#include "checkpoint.h"
#include "error.h"
#include "util/atomic_file.h"
#include "util/files.h"
#include "util/parameter.h"

namespace hipgpt {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRuns = "checkpoints";
constexpr const char* kLatest = "latest.bin";
constexpr const char* kCheckpoint = "gpt_checkpoint.bin";
constexpr const char* kBest = "best.bin";
constexpr const char* kBestCheckpoint = "gpt_checkpoint.best.bin";
constexpr const char* kPreviousCheckpoint = "gpt_checkpoint.previous.bin";
constexpr const char* kPreviousTokenizer = "tokenizer.previous.json";

/// Returns N of "step_N.bin", or -1 for another name.
int64_t step_of(const std::string& name) {
  constexpr std::string_view kPrefix = "step_", kEnding = ".bin";
  if (!name.starts_with(kPrefix) || !name.ends_with(kEnding)) return -1;
  const char* first = name.data() + kPrefix.size();
  const char* last = name.data() + name.size() - kEnding.size();
  int64_t step = -1;
  const auto [end, error] = std::from_chars(first, last, step);
  return error == std::errc{} && end == last ? step : -1;
}

std::string temporary_name(const fs::path& file) {
  return (file.parent_path() / fmt::format(".{}.tmp-{}-0", file.filename().string(), getpid())).string();
}

/// Replaces a symbolic link atomically, so that it exists at every moment.
void replace_link(const std::string& link, const std::string& target) {
  const std::string temporary = temporary_name(link);
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (!error) fs::rename(temporary, link, error);
  if (error) throw Error(fmt::format("{}: cannot create the link: {}", link, error.message()));
}

/// What to do on a file system where a file has only one name.
enum class WithoutLinks { kRename, kCopy };

/// Gives a file a second name and replaces any file of that name.
void keep_as(const std::string& file, const std::string& kept,
             WithoutLinks otherwise = WithoutLinks::kRename) {
  if (!file_exists(file)) return;
  const std::string temporary = temporary_name(kept);
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_hard_link(file, temporary, error);
  if (error && otherwise == WithoutLinks::kCopy) fs::copy_file(file, temporary, error);
  if (error && otherwise == WithoutLinks::kCopy) {
    throw Error(fmt::format("{}: cannot be copied to {}: {}", file, kept, error.message()));
  }
  fs::rename(error ? file : temporary, kept, error);
  if (error) throw Error(fmt::format("{}: cannot be kept as {}: {}", file, kept, error.message()));
  fs::remove(temporary, error);  // rename() leaves it behind if both names were one file already
}

/// Returns whether any training run writes files of this name.
bool is_name_of_artifact(const std::string& name) {
  static const std::set<std::string> kNames = {
      "tokenizer.json", "tokens.bin", "val_tokens.bin", "known_files.json", "metrics.jsonl",
      "report.md",      "loss.svg",   kLatest,          kPreviousTokenizer, kPreviousCheckpoint,
      kCheckpoint,      kBest,        kBestCheckpoint};
  const size_t optimizer = name.rfind(".optimizer.bin");
  const std::string plain = optimizer == std::string::npos ? name : name.substr(0, optimizer) + ".bin";
  return kNames.contains(plain) || step_of(plain) >= 0;
}

/// Locks a folder against other processes. Returns the lock's descriptor, or -1 if the file system has no
/// locks.
int lock_folder(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return -1;  // the first write will report the problem
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  const bool taken = errno == EWOULDBLOCK;
  ::close(descriptor);
  if (taken) {
    throw Error(fmt::format("{}: another train_gpt is running in this folder; wait for it, or use {}",
                            folder == "." ? "the working folder" : folder, Parameter::kRunName));
  }
  return -1;
}

}  // namespace

RunFolder::RunFolder(const std::string& run_name) : named_(!run_name.empty()) {
  if (!named_) return;
  if (run_name == "." || run_name == ".." || run_name.size() > 200 ||
      run_name.find('/') != std::string::npos) {
    throw Error(fmt::format("{} '{}': must be one folder name without '/', of at most 200 bytes",
                            Parameter::kRunName, run_name));
  }
  folder_ = fmt::format("{}/{}/", kRuns, run_name);
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

void RunFolder::lock() {
  if (lock_ < 0) lock_ = lock_folder(named_ ? folder_ : ".");
}

void RunFolder::create() {
  if (named_) {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) throw Error(fmt::format("{}: cannot create the folder: {}", folder_, error.message()));
  }
  lock();
  if (lock_ >= 0) remove_leftovers(folder_, is_name_of_artifact);
}

bool RunFolder::holds(const std::string& file) const {
  std::error_code none;
  return fs::equivalent(folder_of(file), folder_of(metrics()), none);
}

bool RunFolder::is_artifact(const std::string& file) const {
  const std::string name = fs::path(file).filename().string();
  if (name.starts_with("events.out.tfevents.")) return true;  // TensorBoard files may be in any folder
  if (!is_name_of_artifact(name)) return false;
  std::error_code none;
  return holds(file) || fs::equivalent(folder_of(file), ".", none) ||
         fs::equivalent(folder_of(file) + "/..", kRuns, none);
}

std::string RunFolder::checkpoint(int64_t step) const {
  return named_ ? fmt::format("{}step_{}.bin", folder_, step) : kCheckpoint;
}

std::string RunFolder::latest() const {
  return named_ ? folder_ + kLatest : kCheckpoint;
}

/// Returns the steps of the checkpoints in a named folder, newest first.
std::vector<int64_t> RunFolder::steps() const {
  std::vector<int64_t> steps;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder_, none)) {
    const int64_t step = step_of(entry.path().filename().string());
    if (step >= 0) steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

std::vector<std::string> RunFolder::checkpoints() const {
  std::vector<std::string> paths;
  if (named_) {
    std::error_code none;
    const int64_t latest = step_of(fs::read_symlink(folder_ + kLatest, none).string());
    for (const int64_t step : steps()) {
      if (latest < 0 || step <= latest) paths.push_back(checkpoint(step));
    }
  } else {
    for (const char* path : {kCheckpoint, kPreviousCheckpoint}) {
      if (file_exists(path)) paths.emplace_back(path);
    }
  }
  return paths;
}

int RunFolder::checkpoints_kept(int keep_last) const {
  return named_ ? std::max(1, keep_last) : 2;
}

void RunFolder::keep_previous(bool tokenizer_changes) const {
  if (!named_) {
    keep_as(optimizer_path(kCheckpoint), optimizer_path(kPreviousCheckpoint));
    keep_as(kCheckpoint, kPreviousCheckpoint);
  }
  const std::string previous = folder_ + kPreviousTokenizer;
  if (tokenizer_changes) {
    keep_as(tokenizer(), previous);
  } else if (!named_) {
    std::error_code ignored;  // a leftover file only takes up space
    fs::remove(previous, ignored);
  }
}

std::string RunFolder::best() const {
  return named_ ? folder_ + kBest : kBestCheckpoint;
}

void RunFolder::keep_best(int64_t step) const {
  std::error_code ignored;
  fs::remove(optimizer_path(best()), ignored);  // the optimizer file of older weights would be refused
  keep_as(checkpoint(step), best(), WithoutLinks::kCopy);
  keep_as(optimizer_path(checkpoint(step)), optimizer_path(best()), WithoutLinks::kCopy);
}

void RunFolder::remove_optimizer(int64_t step) const {
  std::error_code ignored;  // a reader reports that it does not belong to the weights
  fs::remove(optimizer_path(checkpoint(step)), ignored);
}

void RunFolder::on_checkpoint_written(int64_t step, int keep_last) const {
  if (!named_) return;
  replace_link(folder_ + kLatest, fmt::format("step_{}.bin", step));
  int kept = 0;
  for (const int64_t other : steps()) {
    if (other > step || kept++ < checkpoints_kept(keep_last)) continue;
    std::error_code ignored;  // a leftover file only takes up space
    fs::remove(checkpoint(other), ignored);
    fs::remove(optimizer_path(checkpoint(other)), ignored);
  }
}

std::vector<std::string> optimizer_candidates(const std::string& checkpoint) {
  std::error_code none;
  const fs::path link = fs::is_symlink(checkpoint, none) ? fs::read_symlink(checkpoint, none) : fs::path();
  const fs::path file = link.empty() ? fs::path(checkpoint) : fs::path(checkpoint).parent_path() / link;
  std::vector<std::string> paths;
  if (file_exists(optimizer_path(file))) paths.push_back(optimizer_path(file));
  const std::string previous = file.parent_path() / optimizer_path(kPreviousCheckpoint);
  if (file.filename() == kCheckpoint && file_exists(previous)) paths.push_back(previous);
  return paths;
}

bool is_previous_optimizer(const std::string& optimizer) {
  return fs::path(optimizer).filename() == optimizer_path(kPreviousCheckpoint);
}

std::string tokenizer_beside(const std::string& checkpoint) {
  const fs::path folder = fs::path(checkpoint).parent_path();
  const fs::path previous = folder / kPreviousTokenizer;
  const bool is_previous =
      fs::path(checkpoint).filename() == kPreviousCheckpoint && file_exists(previous.string());
  return (is_previous ? previous : folder / "tokenizer.json").string();
}

}  // namespace hipgpt
