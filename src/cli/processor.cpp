#include "cli/processor.h"

namespace hipgpt {

const char* missing_extension() {
#if defined(__x86_64__)
  __builtin_cpu_init();  // needed because constructors have not run yet
  const struct {
    const char* name;
    bool needed, here;
  } all[] = {{"SSE3", kCompiledFor.sse3, __builtin_cpu_supports("sse3") != 0},
             {"SSSE3", kCompiledFor.ssse3, __builtin_cpu_supports("ssse3") != 0},
             {"SSE4.1", kCompiledFor.sse4_1, __builtin_cpu_supports("sse4.1") != 0},
             {"SSE4.2", kCompiledFor.sse4_2, __builtin_cpu_supports("sse4.2") != 0},
             {"POPCNT", kCompiledFor.popcnt, __builtin_cpu_supports("popcnt") != 0},
             {"AVX", kCompiledFor.avx, __builtin_cpu_supports("avx") != 0},
             {"AVX2", kCompiledFor.avx2, __builtin_cpu_supports("avx2") != 0},
             {"BMI1", kCompiledFor.bmi, __builtin_cpu_supports("bmi") != 0},
             {"BMI2", kCompiledFor.bmi2, __builtin_cpu_supports("bmi2") != 0},
             {"FMA", kCompiledFor.fma, __builtin_cpu_supports("fma") != 0},
             {"AVX-512F", kCompiledFor.avx512f, __builtin_cpu_supports("avx512f") != 0},
             {"AVX-512CD", kCompiledFor.avx512cd, __builtin_cpu_supports("avx512cd") != 0},
             {"AVX-512BW", kCompiledFor.avx512bw, __builtin_cpu_supports("avx512bw") != 0},
             {"AVX-512DQ", kCompiledFor.avx512dq, __builtin_cpu_supports("avx512dq") != 0},
             {"AVX-512VL", kCompiledFor.avx512vl, __builtin_cpu_supports("avx512vl") != 0},
             {"SSE4a", kCompiledFor.sse4a, __builtin_cpu_supports("sse4a") != 0},
             {"XOP", kCompiledFor.xop, __builtin_cpu_supports("xop") != 0},
             {"FMA4", kCompiledFor.fma4, __builtin_cpu_supports("fma4") != 0}};
  for (const auto& extension : all) {
    if (extension.needed && !extension.here) return extension.name;
  }
#endif
  return nullptr;
}

}  // namespace hipgpt
