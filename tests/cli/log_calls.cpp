// A library to preload into a program. For every write, sync and rename it appends a line to the file that
// HIPGPT_LOG_CALLS names: "write INODE -", "fsync INODE -" or "rename INODE NAME". From these lines a test
// derives what would be on the disk after a power failure. A file keeps its inode when it is renamed.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

void log(const char* what, const struct stat& status, const char* path) {
  const char* slash = std::strrchr(path, '/');
  char line[512];
  const int length = std::snprintf(line, sizeof line, "%s %llu %s\n", what,
                                   static_cast<unsigned long long>(status.st_ino), slash ? slash + 1 : path);
  const char* name = std::getenv("HIPGPT_LOG_CALLS");
  const int file = name == nullptr ? -1 : ::open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  // Each line is a single write, so that the lines of two threads do not mix.
  if (file < 0 || ::write(file, line, static_cast<size_t>(length)) != length) std::abort();
  ::close(file);
}

void log_descriptor(const char* what, int file) {
  struct stat status = {};
  if (::fstat(file, &status) == 0) log(what, status, "-");
}

using Pwrite = ssize_t (*)(int, const void*, size_t, off_t);
using OnDescriptor = int (*)(int);
using OnPaths = int (*)(const char*, const char*);

}  // namespace

extern "C" {

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  log_descriptor("write", file);
  return next<Pwrite>("pwrite")(file, bytes, count, offset);
}
ssize_t pwrite64(int file, const void* bytes, size_t count, off_t offset) {
  log_descriptor("write", file);
  return next<Pwrite>("pwrite64")(file, bytes, count, offset);
}
int fsync(int file) {
  log_descriptor("fsync", file);
  return next<OnDescriptor>("fsync")(file);
}
int rename(const char* from, const char* to) noexcept {
  struct stat status = {};
  if (::lstat(from, &status) == 0) log("rename", status, to);
  return next<OnPaths>("rename")(from, to);
}
}
