// Packs: 16 bytes of neighbouring elements in a row, read and written in one access where possible.
//
// "Aligned" has one meaning in src/hip: every row starts at a multiple of 16 bytes and is a whole number of
// packs long. Kernels take it as the template argument kAligned, or as a flag if both cases share a kernel.
#pragma once

#include "hip/kernel.h"

namespace hipgpt::hip {

constexpr int kVecBytes = 16;  ///< the widest access of a lane

/// kCount neighbours in a row.
template <typename T, int kCount>
struct alignas(kCount * sizeof(T)) Vec {
  T values[kCount];

  __device__ T& operator[](int i) { return values[i]; }
  __device__ const T& operator[](int i) const { return values[i]; }
};

template <typename T>
constexpr int kVecSize = kVecBytes / sizeof(T);  ///< elements of a pack

using vec4 = Vec<float, 4>;

// ---- Arithmetic, element by element ---------------------------------------------------------------------

template <typename T, int kCount>
__device__ inline Vec<T, kCount> filled(T value) {
  Vec<T, kCount> v;
#pragma unroll
  for (int i = 0; i < kCount; ++i) v[i] = value;
  return v;
}

/// Applies f to each element.
template <typename T, int kCount, typename F>
__device__ inline Vec<T, kCount> map(Vec<T, kCount> a, F f) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) a[i] = f(a[i]);
  return a;
}

/// Applies f to each pair of elements.
template <typename T, int kCount, typename F>
__device__ inline Vec<T, kCount> map(Vec<T, kCount> a, Vec<T, kCount> b, F f) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) a[i] = f(a[i], b[i]);
  return a;
}

template <typename T, int kCount>
__device__ inline Vec<T, kCount> operator+(Vec<T, kCount> a, Vec<T, kCount> b) {
  return map(a, b, [](T x, T y) { return x + y; });
}

template <typename T, int kCount>
__device__ inline Vec<T, kCount> operator*(Vec<T, kCount> a, Vec<T, kCount> b) {
  return map(a, b, [](T x, T y) { return x * y; });
}

template <typename T, int kCount>
__device__ inline Vec<T, kCount> operator*(Vec<T, kCount> a, T factor) {
  return map(a, [factor](T x) { return x * factor; });
}

__device__ inline float sum_of(vec4 v) {
  return (v[0] + v[1]) + (v[2] + v[3]);
}
__device__ inline float sum_of(Vec<float, 8> v) {
  return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
}

/// sum += s a
template <int kCount>
__device__ inline void add_scaled(Vec<float, kCount>& sum, float s, Vec<float, kCount> a) {
  sum = map(sum, a, [s](float x, float y) { return fmaf(s, y, x); });
}

/// sum + a . b
template <int kCount>
__device__ inline float add_dot(float sum, Vec<float, kCount> a, Vec<float, kCount> b) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) sum = fmaf(a[i], b[i], sum);
  return sum;
}

// ---- Loads and stores -----------------------------------------------------------------------------------

/// Loads a pack at p, of which only the elements [begin, end) exist; the others become `missing`.
template <typename T, typename Index>
__device__ inline Vec<T, kVecSize<T>> load_part(const T* p, Index begin, Index end, T missing = T{}) {
  Vec<T, kVecSize<T>> v;
#pragma unroll
  for (int i = 0; i < kVecSize<T>; ++i) v[i] = i >= begin && i < end ? p[i] : missing;
  return v;
}

/// Writes only the elements [begin, end).
template <typename T, typename Index>
__device__ inline void store_part(T* p, Index begin, Index end, Vec<T, kVecSize<T>> v) {
#pragma unroll
  for (int i = 0; i < kVecSize<T>; ++i)
    if (i >= begin && i < end) p[i] = v[i];
}

/// Loads a pack at p, which is aligned to the size of a pack.
template <typename T>
__device__ inline Vec<T, kVecSize<T>> load_whole(const T* p) {
  return *reinterpret_cast<const Vec<T, kVecSize<T>>*>(p);
}

template <typename T>
__device__ inline void store_whole(T* p, Vec<T, kVecSize<T>> v) {
  *reinterpret_cast<Vec<T, kVecSize<T>>*>(p) = v;
}

/// Loads row[column ...], with `column` a multiple of the pack size. Elements beyond the row's end are zero.
template <bool kAligned, typename T, typename Index>
__device__ inline Vec<T, kVecSize<T>> load(const T* row, Index column, Index width) {
  if constexpr (kAligned) return column < width ? load_whole(row + column) : Vec<T, kVecSize<T>>{};
  return load_part(row + column, Index(0), width - column);
}

/// Stores like load(), but writes nothing beyond the row's end.
template <bool kAligned, typename T, typename Index>
__device__ inline void store(T* row, Index column, Index width, Vec<T, kVecSize<T>> v) {
  if constexpr (kAligned) {
    if (column < width) store_whole(row + column, v);
  } else {
    store_part(row + column, Index(0), width - column, v);
  }
}

// ---- Alignment ------------------------------------------------------------------------------------------

/// Whether each pointer is null or a multiple of 16 bytes.
template <typename... T>
bool all_aligned(const T*... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) % kVecBytes == 0) && ...);
}

/// Whether matrices with rows of `width` elements are aligned, as defined at the top of this file.
template <typename... T>
bool rows_aligned(int width, const T*... matrices) {
  return ((width % kVecSize<T> == 0) && ...) && all_aligned(matrices...);
}

}  // namespace hipgpt::hip
