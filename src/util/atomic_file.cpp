#include "util/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include "error.h"
#include "util/files.h"

namespace hipgpt {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

/// Renaming would replace a device node or ignore a file's write protection. This check therefore refuses
/// what a plain write refuses.
void check_replaceable(const std::string& path, const std::string& target) {
  if (target.empty()) throw Error("an empty file name cannot be written to; name a file");
  struct stat status;
  const bool exists = ::stat(target.c_str(), &status) == 0;
  if (!exists && errno != ENOENT) {
    throw Error(fmt::format("{}: cannot be written ({})", path, std::generic_category().message(errno)));
  }
  if (target.back() == '/' || (exists && S_ISDIR(status.st_mode))) {
    throw Error(fmt::format("{}: is a folder; name a file in it", path));
  }
  if (!exists) return;
  if (!S_ISREG(status.st_mode))
    throw Error(fmt::format("{}: is a pipe or a device; name a regular file", path));
  if (::access(target.c_str(), W_OK) != 0) {
    throw Error(fmt::format("{}: is write-protected; make it writable or choose another name", path));
  }
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), target_(file_to_write(path)) {
  check_replaceable(path_, target_);
  buffer_.reserve(kBufferBytes);
  open_temporary();
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::open_temporary() {
  // Truncate a long name: with the decoration it could exceed the file system's limit.
  const std::string name = std::filesystem::path(target_).filename().string().substr(0, 200);
  for (int attempt = 0;; ++attempt) {
    // The number distinguishes writers in one process and skips files that a killed writer left.
    const std::string candidate =
        fmt::format("{}/.{}.tmp-{}-{}", folder_of(target_), name, ::getpid(), attempt);
    fd_ = ::open(candidate.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ >= 0) {
      temporary_ = candidate;
      break;
    }
    if (errno == ENOENT) throw Error(fmt::format("{}: its folder does not exist; create it first", path_));
    if (errno != EEXIST || attempt == 10000) fail("created", errno);
  }
  // A private file stays private. If this fails, the file system has no permissions.
  struct stat status;
  if (::stat(target_.c_str(), &status) == 0) ::fchmod(fd_, status.st_mode & 0777);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() < kBufferBytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  } else {
    write_at(flushed_, bytes);
    flushed_ += bytes.size();
  }
}

void AtomicFile::overwrite(uint64_t offset, std::span<const std::byte> bytes) {
  flush();
  if (offset > flushed_ || bytes.size() > flushed_ - offset) {
    throw Error(fmt::format("{}: cannot overwrite bytes {} to {}: only {} have been written", path_, offset,
                            offset + bytes.size(), flushed_));
  }
  write_at(offset, bytes);
}

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("written", errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
}

void AtomicFile::flush() {
  write_at(flushed_, buffer_);
  flushed_ += buffer_.size();
  buffer_.clear();
}

void AtomicFile::finish() {
  flush();
  // Some file systems detect a full disk only here or at close().
  if (::fsync(fd_) != 0) fail("written", errno);
  static_cast<void>(::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED));
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0) fail("written", errno);
}

void AtomicFile::commit() {
  if (fd_ >= 0) finish();
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("renamed into place", errno);
  temporary_.clear();
  sync_folder();
}

/// The new name is an entry in the folder, so the folder must reach the disk as well.
void AtomicFile::sync_folder() const {
  const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;  // the folder is writable but not readable; the file is in place
  const int error = ::fsync(folder) == 0 ? 0 : errno;
  ::close(folder);
  // Some network file systems cannot sync a folder and return one of these errors.
  if (error != 0 && error != EINVAL && error != ENOTSUP && error != ENOSYS)
    fail("recorded in its folder", error);
}

void AtomicFile::fail(const char* what, int error) const {
  const char* advice = "";
  if (error == ENOSPC || error == EDQUOT) advice = "; free some space or choose another folder";
  if (error == EACCES || error == EROFS) advice = "; choose a folder that you may write to";
  throw Error(
      fmt::format("{}: cannot be {} ({}){}", path_, what, std::generic_category().message(error), advice));
}

namespace {

/// NAME if `temporary` is .NAME.tmp-NUMBER-NUMBER.
std::optional<std::string> name_without_temporary_ending(const std::string& temporary) {
  const size_t ending = temporary.rfind(".tmp-");
  if (temporary.front() != '.' || ending == std::string::npos || ending < 2) return std::nullopt;
  const std::string numbers = temporary.substr(ending + std::string_view(".tmp-").size());
  const size_t dash = numbers.find('-');
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (dash == std::string::npos || !is_number(numbers.substr(0, dash)) ||
      !is_number(numbers.substr(dash + 1)))
    return std::nullopt;
  return temporary.substr(1, ending - 1);
}

}  // namespace

void remove_leftovers(const std::string& folder, const std::function<bool(const std::string&)>& is_ours) {
  namespace fs = std::filesystem;
  std::error_code ignored;  // a file that cannot be removed only wastes space
  for (fs::directory_iterator entry(folder.empty() ? "." : folder, ignored), end; entry != end;
       entry.increment(ignored)) {
    const std::optional<std::string> name = name_without_temporary_ending(entry->path().filename().string());
    if (name && is_ours(*name)) fs::remove(entry->path(), ignored);
  }
}

void write_file_atomically(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace hipgpt
