// How many threads are useful.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace hipgpt {

/// The number of cores that this process may use, the least of physical cores and quota. In a container, under
/// taskset or under a batch system, the machine may have more. Threads of one core (hyper-threads) share its
/// arithmetic units and count once.
int available_cores();

/// The number of physical cores that have a processor in `processors`, by their thread_siblings_list. Where a
/// processor has no such file, it counts as a core. Reads the files of Linux below `root`.
int physical_cores(const std::vector<int>& processors, const std::string& root = "");

/// The number of cores that the CPU quotas of this process's control groups allow, rounded up; none without a
/// quota. Reads the files of version 2 (cpu.max) and of version 1 (cpu.cfs_quota_us) below `root`.
std::optional<int> cores_by_quota(const std::string& root = "");

}  // namespace hipgpt
