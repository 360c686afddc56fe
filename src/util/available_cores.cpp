#include "util/available_cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>

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
  std::ifstream groups(root + "/proc/self/cgroup");
  // Each line is "number:controllers:path". Version 2 has the number 0 and no controllers.
  for (std::string number, controllers, path; std::getline(groups, number, ':') &&
                                              std::getline(groups, controllers, ':') &&
                                              std::getline(groups, path);) {
    const bool version_2 = number == "0" && controllers.empty();
    if (!version_2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    // A quota also holds for the groups below. In a container, the root may be the group of the container,
    // and the path one that only the host has.
    const std::string mount = root + "/sys/fs/cgroup" + (version_2 ? "" : "/" + controllers);
    for (path = path == "/" ? "" : path;; path.erase(path.rfind('/'))) {
      const std::optional<double> here = quota(mount + path, version_2);
      if (here) least = std::min(least.value_or(*here), *here);
      if (path.find('/') == std::string::npos) break;
    }
  }
  if (!least) return std::nullopt;
  return static_cast<int>(std::clamp(std::ceil(*least), 1.0, 1e6));
}

int available_cores() {
  cpu_set_t cores;
  const int by_affinity = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
  return std::min(by_affinity, cores_by_quota().value_or(by_affinity));
}

}  // namespace hipgpt
