// Helpers shared by the fuzz targets. A target is a function of bytes: it returns, or it has found a bug.
#pragma once

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace hipgpt::fuzz {

inline std::string_view as_text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Aborts the program if `holds` is false, which libFuzzer and ctest report as a finding.
inline void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fputs(fmt::format("does not hold: {}\n", what).c_str(), stderr);
  std::abort();
}

/// Returns true if `action` succeeded, and false if it threw an Error that says why not. Any other exception
/// is a finding.
template <typename Action>
bool succeeds(const Action& action) {
  try {
    action();
    return true;
  } catch (const Error& error) {
    const std::string_view message = error.what();
    require(!message.empty(), "an Error has a message");
    return false;
  }
}

/// A file in memory, for a reader that takes a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    require(written == static_cast<ssize_t>(bytes.size()), "a file in memory can be written");
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return fmt::format("/proc/self/fd/{}", fd_); }

 private:
  int fd_;
};

}  // namespace hipgpt::fuzz
