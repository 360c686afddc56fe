#include "cpu/vector_level.h"

namespace hipgpt::cpu {

VectorLevel processor_level() {
#if defined(__x86_64__)
  const bool avx = __builtin_cpu_supports("avx") != 0;
  const bool avx2 = avx && __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") != 0 &&
                      __builtin_cpu_supports("avx512cd") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  if (avx512) return VectorLevel::kAVX512;
  if (avx2) return VectorLevel::kAVX2;
  if (avx) return VectorLevel::kAVX;
#endif
  return VectorLevel::kBaseline;
}

namespace {

VectorLevel& current() {
  static VectorLevel level = processor_level();
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
  }
  return "unknown";
}

}  // namespace hipgpt::cpu
