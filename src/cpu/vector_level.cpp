#include "cpu/vector_level.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "error.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace hipgpt::cpu {

namespace {

/// Whether AMX multiplies bf16 and this process may use it: Linux enlarges a thread's saved registers by the
/// 8 KiB of the tiles only on request.
bool can_use_amx() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & kAmxBf16) == 0 || (d & kAmxTile) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

VectorLevel processor_level() {
#if defined(__x86_64__)
  const bool avx = __builtin_cpu_supports("avx") != 0;
  const bool avx2 = avx && __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") != 0 &&
                      __builtin_cpu_supports("avx512cd") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  static const bool amx = avx512 && can_use_amx();
  if (amx) return VectorLevel::kAMX;
  if (avx512) return VectorLevel::kAVX512;
  if (avx2) return VectorLevel::kAVX2;
  if (avx) return VectorLevel::kAVX;
#endif
  return VectorLevel::kBaseline;
}

namespace {

constexpr const char* kVariable = "HIPGPT_VECTORS";

/// The processor's level, or a lower one that the user names.
VectorLevel chosen_level() {
  const char* name = std::getenv(kVariable);
  if (name == nullptr || *name == '\0') return processor_level();
  const std::pair<std::string_view, VectorLevel> levels[] = {{"baseline", VectorLevel::kBaseline},
                                                             {"avx2", VectorLevel::kAVX2},
                                                             {"avx512", VectorLevel::kAVX512},
                                                             {"amx", VectorLevel::kAMX}};
  for (const auto& [known, level] : levels) {
    if (known == name) return std::min(level, processor_level());
  }
  throw Error(fmt::format("{}={}: choose baseline, avx2, avx512 or amx", kVariable, name));
}

VectorLevel& current() {
  static VectorLevel level = chosen_level();
  return level;
}

}  // namespace

VectorLevel vector_level() {
  return current();
}

void set_vector_level(VectorLevel level) {
  current() = level;
}

const char* to_string(VectorLevel level) {
  switch (level) {
    case VectorLevel::kBaseline: return "baseline";
    case VectorLevel::kAVX: return "AVX";
    case VectorLevel::kAVX2: return "AVX2";
    case VectorLevel::kAVX512: return "AVX-512";
    case VectorLevel::kAMX: return "AMX";
  }
  return "unknown";
}

}  // namespace hipgpt::cpu
