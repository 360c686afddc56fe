// Numbers formatted for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hipgpt {

/// 65 -> "1:05", 3600 -> "1:00:00".
std::string duration_text(double seconds);

/// 1234567 -> "1,234,567".
std::string grouped(long long number);

/// A count before its noun: "1 token", "1,234 tokens". `plural` is for a noun that adds more than an s.
std::string counted(uint64_t number, std::string_view noun, std::string_view plural = "");

/// 1234567 -> "1.2 MB", in units of 1,000.
std::string bytes_text(uint64_t bytes);

/// 7 << 20 -> "7 MiB", 3 << 29 -> "1.5 GiB": an amount of memory, in units of 1,024, rounded up to whole MiB.
std::string memory_text(uint64_t bytes);

}  // namespace hipgpt
