// Quads: four neighbouring floats, read and written as one 16-byte access where that is possible.
#pragma once

#include "hip/kernel.h"

namespace hipgpt::hip {

/// row[column ... column+3], zero beyond the row's end. kQuads: every row begins at a multiple of 16 bytes
/// and is a multiple of four floats long.
template <bool kQuads>
__device__ inline float4 load(const float* row, int column, int width) {
  if (column >= width) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if constexpr (kQuads) return *reinterpret_cast<const float4*>(row + column);
  return make_float4(row[column], column + 1 < width ? row[column + 1] : 0.0f,
                     column + 2 < width ? row[column + 2] : 0.0f,
                     column + 3 < width ? row[column + 3] : 0.0f);
}

template <bool kQuads>
__device__ inline void store(float* row, int column, int width, float4 v) {
  if (column >= width) return;
  if constexpr (kQuads) {
    *reinterpret_cast<float4*>(row + column) = v;
  } else {
    row[column] = v.x;
    if (column + 1 < width) row[column + 1] = v.y;
    if (column + 2 < width) row[column + 2] = v.z;
    if (column + 3 < width) row[column + 3] = v.w;
  }
}

/// Whether kernels with kQuads may read and write these matrices of rows of `width` floats (or null).
template <typename... Pointers>
bool all_by_quads(int width, Pointers... pointers) {
  return width % 4 == 0 && ((reinterpret_cast<uintptr_t>(pointers) % sizeof(float4) == 0) && ...);
}

}  // namespace hipgpt::hip
