#include "util/host_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

#include "util/control_groups.h"

namespace hipgpt {

namespace {

/// The number after `name` in a file of lines "name number ...", or 0.
size_t number_in(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string word; file >> word; file.ignore(1 << 20, '\n')) {
    size_t number = 0;
    if (word == name && file >> number) return number;
  }
  return 0;
}

/// The number that is the content of a file, or 0. "max" means no limit.
size_t number_in(const std::string& path) {
  size_t number = 0;
  return std::ifstream(path) >> number ? number : 0;
}

}  // namespace

HostMemory host_memory(const std::string& root) {
  const std::string machine = root + "/proc/meminfo";
  HostMemory memory{1024 * number_in(machine, "MemAvailable:"), 1024 * number_in(machine, "MemTotal:")};
  for_each_control_group(root, "memory", [&](const std::string& folder, bool version_2) {
    const size_t limit = number_in(folder + (version_2 ? "/memory.max" : "/memory.limit_in_bytes"));
    if (limit == 0 || limit >= memory.total) return;
    const size_t used = number_in(folder + (version_2 ? "/memory.current" : "/memory.usage_in_bytes"));
    const size_t cached =
        number_in(folder + "/memory.stat", version_2 ? "inactive_file" : "total_inactive_file");
    const size_t kept = used - std::min(used, cached);
    memory.total = limit;
    memory.free = std::min(memory.free, limit - std::min(limit, kept));
  });
  return memory;
}

void prefer_huge_pages(std::span<std::byte> memory) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory.data()) + page - 1) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(memory.data() + memory.size()) / page * page;
  if (end > begin) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace hipgpt
