// A library to preload into a program. While the file that HIPGPT_FULL_DISK names exists, no file can grow, as
// on a full disk.
#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace {

ssize_t write_at(const char* name, int file, const void* bytes, size_t count, off_t offset) {
  const char* full = std::getenv("HIPGPT_FULL_DISK");
  if (full != nullptr && ::access(full, F_OK) == 0) {
    errno = ENOSPC;
    return -1;
  }
  using Pwrite = ssize_t (*)(int, const void*, size_t, off_t);
  return reinterpret_cast<Pwrite>(::dlsym(RTLD_NEXT, name))(file, bytes, count, offset);
}

}  // namespace

extern "C" {

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  return write_at("pwrite", file, bytes, count, offset);
}
ssize_t pwrite64(int file, const void* bytes, size_t count, off_t offset) {
  return write_at("pwrite64", file, bytes, count, offset);
}
}
