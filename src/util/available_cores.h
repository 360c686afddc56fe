// How many threads are worth having.
#pragma once

#include <sched.h>

namespace hipgpt {

/// The cores that this process may use, which in a container or under taskset are fewer than the machine's.
inline int available_cores() {
  cpu_set_t cores;
  return sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

}  // namespace hipgpt
