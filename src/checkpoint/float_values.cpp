#include "checkpoint/float_values.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>

#include "error.h"
#include "util/bf16.h"
#include "util/parallel.h"

namespace hipgpt {

namespace {

/// IEEE 754 binary16: 1 bit of sign, 5 of exponent (bias 15), 10 of fraction.
float from_f16(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  if (exponent == 0) return std::copysign(std::ldexp(static_cast<float>(fraction), -24), sign ? -1.0f : 1.0f);
  // Infinities and NaN have the highest exponent in both formats.
  const uint32_t wide = exponent == 31 ? 255u : static_cast<uint32_t>(exponent + 127 - 15);
  return std::bit_cast<float>(sign | wide << 23 | static_cast<uint32_t>(fraction) << 13);
}

template <typename Convert>
void read_halves(std::span<float> values, const std::byte* from, const Convert& convert) {
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, from + i * sizeof(bits), sizeof(bits));
    values[i] = convert(bits);
  }
}

/// Whether all floats are finite, that is, none has the exponent of infinities and NaN. The loop has no branch,
/// so that it becomes vector instructions, and runs on all cores.
bool all_finite(const SafetensorsFile& file, std::span<const std::byte> floats) {
  constexpr uint32_t kExponent = 0x7f800000;
  constexpr size_t kBytes = size_t{4} << 20;  // of a job
  std::atomic<bool> finite = true;
  parallel_for((floats.size() + kBytes - 1) / kBytes, available_cores(), [&](size_t job, int) {
    const auto part = floats.subspan(job * kBytes, std::min(kBytes, floats.size() - job * kBytes));
    uint32_t bad = 0;
#pragma omp simd reduction(| : bad)
    for (size_t i = 0; i < part.size() / sizeof(float); ++i) {
      uint32_t bits;
      std::memcpy(&bits, part.data() + i * sizeof(bits), sizeof(bits));
      bad |= (bits & kExponent) == kExponent ? 1u : 0u;
    }
    if (bad != 0) finite = false;
    file.forget(part);
  });
  return finite;
}

}  // namespace

void read_floats(std::span<float> values, const SafetensorsTensor& tensor, size_t first) {
  if (tensor.dtype == "F32") {
    std::memcpy(values.data(), tensor.bytes.data() + first * sizeof(float), values.size_bytes());
  } else if (tensor.dtype == "F16") {
    read_halves(values, tensor.bytes.data() + first * sizeof(uint16_t), from_f16);
  } else {
    read_halves(values, tensor.bytes.data() + first * sizeof(uint16_t), from_bf16);
  }
}

void check_floats(const SafetensorsFile& file, const SafetensorsTensor& tensor,
                  const std::vector<int64_t>& shape) {
  const std::string& path = file.path();
  if (tensor.dtype != "F32" && tensor.dtype != "F16" && tensor.dtype != "BF16") {
    throw Error(fmt::format("{}: {} is {}, not F32, F16 or BF16", path, tensor.name, tensor.dtype));
  }
  if (!std::ranges::equal(tensor.shape, shape, {}, {}, [](int64_t d) { return static_cast<uint64_t>(d); })) {
    throw Error(fmt::format("{}: {} has shape [{}], but its model needs [{}]", path, tensor.name,
                            fmt::join(tensor.shape, ","), fmt::join(shape, ",")));
  }
  const size_t count = tensor.bytes.size() / (tensor.dtype == "F32" ? sizeof(float) : sizeof(uint16_t));
  if (tensor.dtype == "F32" && all_finite(file, tensor.bytes)) return;
  std::array<float, 4096> part;
  for (size_t first = 0; first < count; first += part.size()) {
    const auto values = std::span(part).first(std::min(part.size(), count - first));
    read_floats(values, tensor, first);
    const auto bad = std::ranges::find_if_not(values, [](float v) { return std::isfinite(v); });
    if (bad == values.end()) continue;
    throw Error(fmt::format("{}: {} holds a value that is not finite, at element {}", path, tensor.name,
                            first + static_cast<size_t>(bad - values.begin())));
  }
  file.forget(tensor);
}

}  // namespace hipgpt
