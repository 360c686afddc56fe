// Numbers formatted for people.
#pragma once

#include <string>

namespace hipgpt {

/// 65 -> "1:05", 3600 -> "1:00:00".
std::string duration_text(double seconds);

/// 1234567 -> "1,234,567".
std::string grouped(long long number);

}  // namespace hipgpt
