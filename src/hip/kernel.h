// What every kernel file includes: the HIP runtime of the platform, the wave and shared memory.
//
// A kernel is written once for three platforms (src/platform). What differs between them has its one place
// here: how many lanes a wave has, how shared memory is declared, and what a launch bound means.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

#include "philox.h"

// HIPGPT_SHARED(float, tile, [16][17]) declares `float tile[16][17]` in the memory that the threads of a
// block share, at a multiple of 16 bytes, so that four floats can be read at once. An emulated platform
// brings its own.
#ifndef HIPGPT_SHARED
#define HIPGPT_SHARED(type, name, dims) __shared__ __attribute__((aligned(16))) type name dims
#endif

// HIPGPT_DYNAMIC_SHARED(float4, memory) declares `float4* memory`: the shared memory whose size the launch
// gives (launch.h), at a multiple of 16 bytes. A kernel has one.
#ifndef HIPGPT_DYNAMIC_SHARED
#define HIPGPT_DYNAMIC_SHARED(type, name)                                               \
  extern __shared__ __attribute__((aligned(16))) unsigned char hipgpt_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(hipgpt_dynamic_shared)
#endif

// __launch_bounds__ of a kernel of which `blocks` are to fit on a compute unit side by side. AMD's compiler
// takes the second number of it for waves, and a limit on registers that shared memory has set already.
#if defined(__HIP_PLATFORM_AMD__)
#define HIPGPT_LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads)
#else
#define HIPGPT_LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#endif

namespace hipgpt::hip {

/// Lanes of a wave, for device code alone: 64 on CDNA (gfx9), 32 on RDNA and elsewhere. ROCm 7 no longer has
/// it as a constant. Launch geometry must not depend on it: blocks are multiples of 64 threads.
#if defined(HIPGPT_WAVE_SIZE)
constexpr int kWaveSize = HIPGPT_WAVE_SIZE;
#elif defined(__GFX8__) || defined(__GFX9__)
constexpr int kWaveSize = 64;
#else
constexpr int kWaveSize = 32;
#endif

}  // namespace hipgpt::hip
