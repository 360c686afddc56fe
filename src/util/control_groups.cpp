#include "util/control_groups.h"

#include <fstream>

namespace hipgpt {

void for_each_control_group(const std::string& root, const std::string& controller,
                            const std::function<void(const std::string& folder, bool version_2)>& f) {
  std::ifstream groups(root + "/proc/self/cgroup");
  // Each line is "number:controllers:path". Version 2 has the number 0 and no controllers.
  for (std::string number, controllers, path; std::getline(groups, number, ':') &&
                                              std::getline(groups, controllers, ':') &&
                                              std::getline(groups, path);) {
    const bool version_2 = number == "0" && controllers.empty();
    if (!version_2 && ("," + controllers + ",").find("," + controller + ",") == std::string::npos) continue;
    // In a container, the root may be the group of the container, and the path one that only the host has.
    const std::string mount = root + "/sys/fs/cgroup" + (version_2 ? "" : "/" + controllers);
    for (path = path == "/" ? "" : path;; path.erase(path.rfind('/'))) {
      f(mount + path, version_2);
      if (path.find('/') == std::string::npos) break;
    }
  }
}

}  // namespace hipgpt
