// How many threads are useful.
#pragma once

#include <sched.h>

namespace hipgpt {

/// The number of cores that this process may use. In a container or under taskset, the machine may have more.
inline int available_cores() {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

}  // namespace hipgpt
