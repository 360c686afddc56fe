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

namespace {

std::string grouped_digits(uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace

std::string grouped(long long number) {
  const auto magnitude = static_cast<uint64_t>(number);
  return number < 0 ? fmt::format("-{}", grouped_digits(0 - magnitude)) : grouped_digits(magnitude);
}

std::string counted(uint64_t number, std::string_view noun, std::string_view plural) {
  if (number == 1) return fmt::format("1 {}", noun);
  return plural.empty() ? fmt::format("{} {}s", grouped_digits(number), noun)
                        : fmt::format("{} {}", grouped_digits(number), plural);
}

std::string bytes_text(uint64_t bytes) {
  if (bytes < 1000) return counted(bytes, "byte");
  double number = static_cast<double>(bytes) / 1000;
  const char* unit = "kMGTPE";
  for (; number >= 999.95; ++unit) number /= 1000;  // it would be printed as 1000.0
  return fmt::format("{:.1f} {}B", number, *unit);
}

std::string memory_text(uint64_t bytes) {
  constexpr uint64_t kMiB = 1 << 20, kGiB = 1 << 30;
  if (bytes < kGiB) return fmt::format("{} MiB", (bytes + kMiB - 1) / kMiB);
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / kGiB);
}

}  // namespace hipgpt
