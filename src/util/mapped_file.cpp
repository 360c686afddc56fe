#include "util/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "error.h"
#include "util/files.h"
#include "util/mapping_faults.h"

namespace hipgpt {
namespace {

/// Closes a descriptor at the end of a scope; a mapping outlives it.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

[[noreturn]] void fail_to_open(const std::string& path, int error) {
  if (error == ENOENT) throw Error(fmt::format("{}: no such file; check the path", path));
  if (error == EACCES) throw Error(fmt::format("{}: not readable; check its permissions", path));
  throw Error(fmt::format("{}: cannot be opened ({})", path, std::generic_category().message(error)));
}

/// The size of an open file. Checks it again, because another process may have replaced the regular file.
size_t regular_size(int fd, const std::string& path) {
  struct stat status;
  if (::fstat(fd, &status) != 0) fail_to_open(path, errno);
  if (!S_ISREG(status.st_mode))
    throw Error(fmt::format(
        "{}: was replaced by something other than a regular file while it was opened; run again", path));
  return static_cast<size_t>(status.st_size);
}

}  // namespace

MappedFile::MappedFile(const std::string& path, Access access) {
  require_regular_if_there(path);
  // O_NONBLOCK: if the file has become a pipe, do not wait for its other end.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) fail_to_open(path, errno);
  size_ = regular_size(file.fd, path);
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data == MAP_FAILED) fail_to_open(path, errno);
  data_ = data;
  remember_mapping(data_, size_, path);
  advise(access);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  forget_mapping(data_);
  ::munmap(data_, size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::advise(Access access) const {
  // Advice is only a hint, so ignore failures.
  if (data_ != nullptr) ::madvise(data_, size_, access == Access::kRandom ? MADV_RANDOM : MADV_SEQUENTIAL);
}

void MappedFile::forget(std::string_view part) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  // Drop the page in which the part begins, because the bytes before the part were read earlier. Keep the
  // page in which it ends.
  const uintptr_t begin = reinterpret_cast<uintptr_t>(part.data()) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (end > begin) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace hipgpt
