#include "util/available_cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "util/control_groups.h"

namespace hipgpt {

namespace {

/// Returns the quota of one group in cores, if it has one. "max" and -1 mean none.
std::optional<double> quota(const std::string& group, bool version_2) {
  double time = 0, period = 0;  // in microseconds
  if (version_2) {
    if (!(std::ifstream(group + "/cpu.max") >> time >> period)) return std::nullopt;
  } else {
    if (!(std::ifstream(group + "/cpu.cfs_quota_us") >> time)) return std::nullopt;
    if (!(std::ifstream(group + "/cpu.cfs_period_us") >> period)) return std::nullopt;
  }
  return time > 0 && period > 0 ? std::optional(time / period) : std::nullopt;
}

}  // namespace

std::optional<int> cores_by_quota(const std::string& root) {
  std::optional<double> least;
  for_each_control_group(root, "cpu", [&](const std::string& folder, bool version_2) {
    const std::optional<double> here = quota(folder, version_2);
    if (here) least = std::min(least.value_or(*here), *here);
  });
  if (!least) return std::nullopt;
  return static_cast<int>(std::clamp(std::ceil(*least), 1.0, 1e6));
}

int available_cores() {
  cpu_set_t cores;
  const int by_affinity = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
  return std::min(by_affinity, cores_by_quota().value_or(by_affinity));
}

}  // namespace hipgpt
