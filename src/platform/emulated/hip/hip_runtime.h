// HIP on the CPU: the emulated platform's <hip/hip_runtime.h> for kernel files.
//
// A kernel is an ordinary function here, and a thread of a block is an ordinary stack that runs it.
// Operations that a GPU performs in hardware, mainly barriers and waves, are calls into ../emulator.h. See
// ../README.md for an overview.
#pragma once

#include <math.h>

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../emulator.h"
#include "hip_runtime_api.h"

// ---- Keywords ---------------------------------------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

// HIPGPT_SHARED(float, tile, [16][17]) declares float tile[16][17], shared by all threads of a block. As in
// HIP, `tile` has static storage, so a lambda can use it without capturing it.
#define HIPGPT_SHARED(type, name, dims)                                                                      \
  using hipgpt_type_of_##name = type dims;                                                                   \
  static thread_local ::hipgpt::emulated::SharedArray hipgpt_array_of_##name(#name,                          \
                                                                             sizeof(hipgpt_type_of_##name)); \
  hipgpt_array_of_##name.enter();                                                                            \
  static thread_local hipgpt_type_of_##name& name =                                                          \
      *reinterpret_cast<hipgpt_type_of_##name*>(hipgpt_array_of_##name.data())

// HIPGPT_DYNAMIC_SHARED(float4, memory): float4* memory, of as many bytes as the launch says.
#define HIPGPT_DYNAMIC_SHARED(type, name) \
  type* const name = reinterpret_cast<type*>(::hipgpt::emulated::dynamic_shared())

// ---- Launch -----------------------------------------------------------------------------------------------

#define HIP_KERNEL_NAME(...) __VA_ARGS__
#define hipLaunchKernelGGL(kernel, grid, block, shared_bytes, stream, ...) \
  ::hipgpt::emulated::launch(#kernel, kernel, grid, block, shared_bytes, stream __VA_OPT__(, ) __VA_ARGS__)

// ---- Thread indices ---------------------------------------------------------------------------------------

extern thread_local constinit uint3 threadIdx, blockIdx;
extern thread_local constinit dim3 blockDim, gridDim;
constexpr int warpSize = HIPGPT_WAVE_SIZE;

// ---- Barriers and fences ----------------------------------------------------------------------------------

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  hipgpt::emulated::barrier({file, line});
}
inline void __threadfence() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
inline void __threadfence_block() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

// ---- Waves ------------------------------------------------------------------------------------------------

namespace hipgpt::emulated {

template <typename T>
concept WaveValue = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

/// Takes part in a rendezvous with `value` and returns the value of lane `source`. An absent lane, which left
/// the kernel or is beyond the block's last thread, gives poison.
template <WaveValue T>
T value_of_lane(T value, int source, Site site) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const uint64_t result = meet(bits, site).values[source];
  std::memcpy(&value, &result, sizeof(T));
  return value;
}

}  // namespace hipgpt::emulated

// A wave can be split into segments of `width` lanes, a power of two. A lane whose source is outside its
// segment gets its own value.

template <hipgpt::emulated::WaveValue T>
T __shfl(T value, int source, int width = warpSize, const char* file = __builtin_FILE(),
         int line = __builtin_LINE()) {
  const int self = hipgpt::emulated::current.lane;
  return hipgpt::emulated::value_of_lane(value, (self & -width) + (source & (width - 1)), {file, line});
}

template <hipgpt::emulated::WaveValue T>
T __shfl_xor(T value, int mask, int width = warpSize, const char* file = __builtin_FILE(),
             int line = __builtin_LINE()) {
  const int self = hipgpt::emulated::current.lane, source = self ^ mask;
  return hipgpt::emulated::value_of_lane(value, source < (self & -width) + width ? source : self,
                                         {file, line});
}

template <hipgpt::emulated::WaveValue T>
T __shfl_up(T value, unsigned distance, int width = warpSize, const char* file = __builtin_FILE(),
            int line = __builtin_LINE()) {
  const int self = hipgpt::emulated::current.lane;
  const bool inside = distance <= static_cast<unsigned>(self & (width - 1));
  return hipgpt::emulated::value_of_lane(value, inside ? self - static_cast<int>(distance) : self,
                                         {file, line});
}

template <hipgpt::emulated::WaveValue T>
T __shfl_down(T value, unsigned distance, int width = warpSize, const char* file = __builtin_FILE(),
              int line = __builtin_LINE()) {
  const int self = hipgpt::emulated::current.lane;
  const bool inside = distance < static_cast<unsigned>(width - (self & (width - 1)));
  return hipgpt::emulated::value_of_lane(value, inside ? self + static_cast<int>(distance) : self,
                                         {file, line});
}

inline unsigned long long __ballot(int predicate, const char* file = __builtin_FILE(),
                                   int line = __builtin_LINE()) {
  const hipgpt::emulated::Lanes& lanes = hipgpt::emulated::meet(predicate != 0, {file, line});
  unsigned long long votes = 0;
  for (int lane = 0; lane < warpSize; ++lane)
    votes |= (lanes.values[lane] & lanes.present >> lane & 1) << lane;
  return votes;
}

inline int __any(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return __ballot(predicate, file, line) != 0;
}

inline int __all(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return __ballot(predicate == 0, file, line) == 0;
}

// ---- Atomics ----------------------------------------------------------------------------------------------

// Blocks run on several OS threads, so these are real atomics. They support integers only, because
// floating-point sums would depend on an order that changes from run to run.

namespace hipgpt::emulated {

template <typename T>
concept AtomicValue =
    std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long>;

/// *address = f(*address); returns the old value.
template <typename T, typename F>
T atomic_update(T* address, F f) {
  T old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(address, &old, f(old), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
  }
  return old;
}

}  // namespace hipgpt::emulated

template <hipgpt::emulated::AtomicValue T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST);
}

template <hipgpt::emulated::AtomicValue T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return __atomic_fetch_or(address, value, __ATOMIC_SEQ_CST);
}

template <hipgpt::emulated::AtomicValue T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST);
}

template <hipgpt::emulated::AtomicValue T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}

template <hipgpt::emulated::AtomicValue T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return hipgpt::emulated::atomic_update(address, [value](T old) { return old > value ? old : value; });
}

template <hipgpt::emulated::AtomicValue T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return hipgpt::emulated::atomic_update(address, [value](T old) { return old < value ? old : value; });
}

// ---- Arithmetic that C++ lacks; <math.h> has sqrtf, fmaf and so on ----------------------------------------

template <typename T>
requires std::is_arithmetic_v<T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
requires std::is_arithmetic_v<T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}

inline float rsqrtf(float x) {
  return 1.0f / sqrtf(x);
}

inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}

inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}
inline int __popcll(unsigned long long x) {
  return __builtin_popcountll(x);
}
inline int __ffs(int x) {
  return __builtin_ffs(x);
}
inline int __ffsll(long long x) {
  return __builtin_ffsll(x);
}
inline int __clz(int x) {
  return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x));
}
inline int __clzll(long long x) {
  return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}
