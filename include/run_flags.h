// RunFlags: the flags that define a run, as its files store them.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace hipgpt {

/// From the name of a flag, such as "data-path", to its values as they were given. After
/// `mine.merge(others)`, `mine` has its own values where both had the flag, and the others' elsewhere.
using RunFlags = std::map<std::string, std::vector<std::string>>;

}  // namespace hipgpt
