// How much memory this process can use.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace hipgpt {

struct HostMemory {
  size_t free = 0;   ///< what can be allocated without swapping, in bytes; 0 if unknown
  size_t total = 0;  ///< of the machine, or the limit of this process
};

/// The memory of the machine (/proc/meminfo), and the limits of this process's control groups: memory.max of
/// version 2, memory.limit_in_bytes of version 1. What they use for cached files counts as free. Reads the
/// files of Linux below `root`.
HostMemory host_memory(const std::string& root = "");

/// Asks the system to back this memory with huge pages, as far as they fit. A system without them ignores this.
void prefer_huge_pages(std::span<std::byte> memory);

}  // namespace hipgpt
