// What the checks of all exercises share: inputs, and the comparison of a result with the reference.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace exercise {

using Values = std::vector<double>;

/// The contents of an output before the exercise runs: a NaN whose lowest 32 bits no computation produces. As
/// a float, it is what the emulated GPU fills its memory with.
constexpr uint32_t kUnwritten = 0x7FFA7FFA;

inline Values unwritten(size_t count) {
  return Values(count, std::bit_cast<double>(uint64_t{kUnwritten} << 32 | kUnwritten));
}
inline bool is_unwritten(double value) {
  return static_cast<uint32_t>(std::bit_cast<uint64_t>(value)) == kUnwritten;
}
inline bool is_unwritten(float value) {
  return std::bit_cast<uint32_t>(value) == kUnwritten;
}

/// Normally distributed values, the same for the same seed.
inline Values random_values(size_t count, unsigned seed, double mean = 0, double deviation = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(mean, deviation);
  Values values(count);
  for (double& v : values) v = normal(generator);
  return values;
}

/// The index of element i of an array: "[2,5]" if it has rows of `width` elements, else "[i]".
inline std::string index_text(size_t i, size_t width) {
  if (width == 0) return "[" + std::to_string(i) + "]";
  return "[" + std::to_string(i / width) + "," + std::to_string(i % width) + "]";
}

/// Compares an output with the expected values and reports how many elements differ by more than
/// `tolerance`. `width` is the length of the rows; 0 for a vector.
template <typename T>
bool equal(const char* output, const std::vector<T>& actual, const Values& expected, size_t width = 0,
           double tolerance = 1e-9) {
  size_t wrong = 0, first = 0;
  for (size_t i = expected.size(); i-- > 0;) {
    if (std::abs(static_cast<double>(actual[i]) - expected[i]) <= tolerance) continue;
    ++wrong;
    first = i;
  }
  if (wrong == 0) return true;
  std::printf("%s: %zu of %zu elements are wrong; the first is %s%s = ", HIPGPT_EXERCISE, wrong,
              expected.size(), output, index_text(first, width).c_str());
  if (is_unwritten(actual[first])) {
    std::printf("nan (nobody wrote it)\n");
  } else {
    std::printf("%.6g, and should be %.6g\n", static_cast<double>(actual[first]), expected[first]);
  }
  return false;
}

/// Ends the check of an exercise on the CPU. Returns the exit status.
inline int finish(bool right) {
  if (right) std::printf("%s: right     done\n", HIPGPT_EXERCISE);
  return right ? 0 : 1;
}

}  // namespace exercise
