// A library to preload into a program. It counts the calls that change files, from 1, and ends the program by
// SIGKILL at call number HIPGPT_KILL_AT. A write is cut off halfway. So a test can end a program at every
// moment between two changes on the disk.
// With HIPGPT_NO_LINKS a file can have only one name, as on FAT. While the file that HIPGPT_FULL_DISK names
// exists, no file can grow, as on a full disk.
#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace {

bool is_the_call() {
  static std::atomic<int> calls{0};
  static const int last =
      std::getenv("HIPGPT_KILL_AT") == nullptr ? 0 : std::atoi(std::getenv("HIPGPT_KILL_AT"));
  return ++calls == last;
}

[[noreturn]] void die() {
  for (;;) ::kill(::getpid(), SIGKILL);
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

using Pwrite = ssize_t (*)(int, const void*, size_t, off_t);
using OnDescriptor = int (*)(int);
using OnPath = int (*)(const char*);
using OnPaths = int (*)(const char*, const char*);

ssize_t write_at(const char* name, int file, const void* bytes, size_t count, off_t offset) {
  const char* full = std::getenv("HIPGPT_FULL_DISK");
  if (full != nullptr && ::access(full, F_OK) == 0) {
    errno = ENOSPC;
    return -1;
  }
  const bool last = is_the_call();
  const ssize_t written = next<Pwrite>(name)(file, bytes, last ? count / 2 : count, offset);
  if (last) die();
  return written;
}

int with_paths(const char* name, const char* from, const char* to) {
  if (is_the_call()) die();
  return next<OnPaths>(name)(from, to);
}

}  // namespace

extern "C" {

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  return write_at("pwrite", file, bytes, count, offset);
}
ssize_t pwrite64(int file, const void* bytes, size_t count, off_t offset) {
  return write_at("pwrite64", file, bytes, count, offset);
}
int fsync(int file) {
  if (is_the_call()) die();
  return next<OnDescriptor>("fsync")(file);
}
int rename(const char* from, const char* to) noexcept {
  return with_paths("rename", from, to);
}
int link(const char* from, const char* to) noexcept {
  if (std::getenv("HIPGPT_NO_LINKS") == nullptr) return with_paths("link", from, to);
  errno = EPERM;
  return -1;
}
int symlink(const char* from, const char* to) noexcept {
  return with_paths("symlink", from, to);
}
int remove(const char* path) noexcept {
  if (is_the_call()) die();
  return next<OnPath>("remove")(path);
}
}
