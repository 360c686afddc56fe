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

/// The size of an open file. Another process may have replaced the regular file that was there before.
size_t regular_size(int fd, const std::string& path) {
  struct stat status;
  if (::fstat(fd, &status) != 0) fail_to_open(path, errno);
  if (!S_ISREG(status.st_mode)) throw Error(fmt::format("{}: was replaced while it was opened", path));
  return static_cast<size_t>(status.st_size);
}

}  // namespace

MappedFile::MappedFile(const std::string& path, Access access) {
  require_regular_if_there(path);
  // O_NONBLOCK: should it be a pipe by now, its other end is not waited for.
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
  // Advice may be ignored, so a failure is none of ours.
  if (data_ != nullptr) ::madvise(data_, size_, access == Access::kRandom ? MADV_RANDOM : MADV_SEQUENTIAL);
}

void MappedFile::forget(std::string_view part) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  // The page that the part begins on goes with it, as what lies before was read earlier; its last does not.
  const uintptr_t begin = reinterpret_cast<uintptr_t>(part.data()) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (end > begin) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace hipgpt
