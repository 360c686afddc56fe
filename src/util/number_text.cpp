#include "util/number_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hipgpt {

std::string duration_text(double seconds) {
  const auto s = static_cast<long long>(std::lround(std::max(0.0, seconds)));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string grouped(long long number) {
  const auto magnitude = static_cast<unsigned long long>(number);
  const std::string digits = std::to_string(number < 0 ? 0 - magnitude : magnitude);
  std::string text = number < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string counted(long long number, std::string_view noun, std::string_view plural) {
  if (number == 1) return fmt::format("1 {}", noun);
  return plural.empty() ? fmt::format("{} {}s", grouped(number), noun)
                        : fmt::format("{} {}", grouped(number), plural);
}

}  // namespace hipgpt
