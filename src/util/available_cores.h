// How many threads are useful.
#pragma once

#include <optional>
#include <string>

namespace hipgpt {

/// The number of cores that this process may use. In a container, under taskset or under a batch system, the
/// machine may have more.
int available_cores();

/// The number of cores that the CPU quotas of this process's control groups allow, rounded up; none without a
/// quota. Reads the files of version 2 (cpu.max) and of version 1 (cpu.cfs_quota_us) below `root`.
std::optional<int> cores_by_quota(const std::string& root = "");

}  // namespace hipgpt
