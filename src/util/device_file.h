// Files of devices that the user may not open.
#pragma once

#include <string>

namespace hipgpt {

/// Returns why the user may not open a device's file, and what to do, or "" if the user may, or there is no
/// such file.
std::string why_not_permitted(const std::string& path);

}  // namespace hipgpt
