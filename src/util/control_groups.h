// The control groups of this process, by which containers and batch systems limit it.
#pragma once

#include <functional>
#include <string>

namespace hipgpt {

/// Calls f(folder, version_2) for each group that may limit `controller` ("cpu" or "memory"): the folder has
/// the files of the group. A limit also holds for the groups below, so all groups on the path are called.
/// Reads the files of Linux below `root`.
void for_each_control_group(const std::string& root, const std::string& controller,
                            const std::function<void(const std::string& folder, bool version_2)>& f);

}  // namespace hipgpt
