#include "util/available_cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <set>

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

/// The processors on which the system may run this process.
std::vector<int> processors_by_affinity() {
  std::vector<int> processors;
  // The system refuses a set that is smaller than its own.
  for (int count = CPU_SETSIZE; count <= 1 << 20 && processors.empty(); count *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(count),
                                                               [](cpu_set_t* s) { CPU_FREE(s); });
    const size_t bytes = CPU_ALLOC_SIZE(count);
    if (set == nullptr || sched_getaffinity(0, bytes, set.get()) != 0) continue;
    for (int i = 0; i < count; ++i) {
      if (CPU_ISSET_S(i, bytes, set.get())) processors.push_back(i);
    }
  }
  return processors;
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

int physical_cores(const std::vector<int>& processors, const std::string& root) {
  std::set<std::string> cores;  // each by the list of its threads, which all of them have in common
  for (const int processor : processors) {
    const std::string name = "cpu" + std::to_string(processor);
    std::ifstream file(root + "/sys/devices/system/cpu/" + name + "/topology/thread_siblings_list");
    std::string siblings;
    cores.insert(std::getline(file, siblings) && !siblings.empty() ? siblings : name);
  }
  return static_cast<int>(cores.size());
}

int available_cores() {
  const std::vector<int> processors = processors_by_affinity();
  const int physical = std::max(1, physical_cores(processors));
  return std::min(physical, cores_by_quota().value_or(physical));
}

}  // namespace hipgpt
