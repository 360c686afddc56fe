// Functions that are as accurate as a result in bf16 needs, about 2^-21, and take one or two instructions.
#pragma once

#include "hip/kernel.h"

namespace hipgpt::hip {

constexpr float kLog2E = 1.4426950409f;

/// 2^x. Results below the normal range may be zero.
__device__ inline float exp2_of(float x) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#elif defined(__HIP_DEVICE_COMPILE__) && defined(__HIP_PLATFORM_AMD__)
#if __has_builtin(__builtin_amdgcn_exp2f)
  return __builtin_amdgcn_exp2f(x);
#else
  return exp2f(x);  // compilers before ROCm 6
#endif
#else
  return exp2f(x);
#endif
}

/// 1 / x.
__device__ inline float reciprocal_of(float x) {
#if defined(__CUDA_ARCH__)
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#elif defined(__HIP_DEVICE_COMPILE__) && defined(__HIP_PLATFORM_AMD__)
  return __builtin_amdgcn_rcpf(x);
#else
  return 1.0f / x;
#endif
}

}  // namespace hipgpt::hip
