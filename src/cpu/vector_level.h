// The vector instructions of a processor, as far as the CPU device chooses code by them at run time.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
/// Compile a function with the instructions of a level.
#define HIPGPT_AVX2 [[gnu::target("avx2,fma")]]
#define HIPGPT_AVX512 [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]]
#define HIPGPT_AVX512_VNNI [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]]
#define HIPGPT_AMX [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,amx-tile,amx-bf16")]]
#endif

namespace hipgpt::cpu {

/// Each level includes the ones before it. kAVX2 includes FMA; kAVX512 is F, CD, BW, DQ and VL; kAMX has tile
/// registers and products of bf16. Every processor of another architecture than x86-64 is kBaseline.
enum class VectorLevel : uint8_t { kBaseline, kAVX, kAVX2, kAVX512, kAMX };

/// The level of this processor, by CPUID and by the registers that the operating system saves. The first call
/// asks Linux for the use of tile registers.
VectorLevel processor_level();

/// The level that the operations use: the processor's, unless the variable HIPGPT_VECTORS (baseline, avx2,
/// avx512 or amx) or a test has set a lower one. Throws Error if the variable has another value.
VectorLevel vector_level();
void set_vector_level(VectorLevel level);

/// "AVX2".
const char* to_string(VectorLevel level);

}  // namespace hipgpt::cpu
