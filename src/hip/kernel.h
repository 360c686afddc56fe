// Every kernel file includes this one. It includes the platform's HIP runtime and defines the wave size and
// shared memory.
//
// A kernel is written once for three platforms (src/platform). This file defines what differs between them:
// the number of lanes in a wave, the declaration of shared memory, and the meaning of launch bounds.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

#include "philox.h"

// HIPGPT_SHARED(float, tile, [16][17]) declares `float tile[16][17]` in the memory that the threads of a
// block share. It is aligned to 16 bytes, so that four floats can be read at once. The emulated platform
// defines its own macro.
#ifndef HIPGPT_SHARED
#define HIPGPT_SHARED(type, name, dims) __shared__ __attribute__((aligned(16))) type name dims
#endif

// HIPGPT_DYNAMIC_SHARED(float4, memory) declares `float4* memory`, the shared memory whose size the launch
// sets (launch.h), aligned to 16 bytes. A kernel may use it once.
#ifndef HIPGPT_DYNAMIC_SHARED
#define HIPGPT_DYNAMIC_SHARED(type, name)                                               \
  extern __shared__ __attribute__((aligned(16))) unsigned char hipgpt_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(hipgpt_dynamic_shared)
#endif

// __launch_bounds__ for a kernel of which `blocks` blocks should fit on a compute unit at once. AMD's
// compiler would take the second number as waves, and limit registers although shared memory already limits
// the blocks.
#if defined(__HIP_PLATFORM_AMD__)
#define HIPGPT_LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads)
#else
#define HIPGPT_LAUNCH_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#endif

namespace hipgpt::hip {

/// Whether the host launches kernels for AMD, with blocks that suit the matrix cores of CDNA and of RDNA. A
/// test builds these for the emulated platform, with the atom of a family.
#if defined(__HIP_PLATFORM_AMD__) || defined(HIPGPT_EMULATED_BF16_ATOM)
constexpr bool kForAmd = true;
#else
constexpr bool kForAmd = false;
#endif

/// The lanes of a wave, for device code only: 64 on CDNA (gfx9), 32 on RDNA and elsewhere. ROCm 7 no longer
/// provides it as a constant. Launch geometry must not depend on it, so blocks are multiples of 64 threads.
#if defined(HIPGPT_WAVE_SIZE)
constexpr int kWaveSize = HIPGPT_WAVE_SIZE;
#elif defined(__GFX8__) || defined(__GFX9__)
constexpr int kWaveSize = 64;
#else
constexpr int kWaveSize = 32;
#endif

/// Whether device code is compiled for RDNA, whose lanes have at most 256 registers.
constexpr bool kForRdna = kForAmd && kWaveSize == 32;

/// Tells AMD's compiler that all lanes of a wave have the same value.
__device__ inline int same_in_wave(int value) {
#if defined(__HIP_PLATFORM_AMD__) && defined(__HIP_DEVICE_COMPILE__)
  return __builtin_amdgcn_readfirstlane(value);
#else
  return value;
#endif
}

/// Returns the value, but hides from RDNA's compiler where it comes from. Otherwise the compiler keeps results
/// that depend on it, instead of computing them again, and runs out of registers.
__device__ inline uint32_t opaque(uint32_t value) {
#if defined(__HIP_PLATFORM_AMD__) && defined(__HIP_DEVICE_COMPILE__)
  if constexpr (kForRdna) asm volatile("" : "+v"(value));
#endif
  return value;
}

}  // namespace hipgpt::hip
