// Vectors of floats for kernels that are compiled for several instruction sets and chosen at run time
// (vector_level.h). A kernel is a header of templates on the names below; a source file includes it once in each
// namespace, with the macro of the namespace as HIPGPT_TARGET.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>

#include "cpu/vector_level.h"

namespace hipgpt::cpu {

namespace avx2 {

using Vec = __m256;
constexpr int64_t kWidth = 8;

HIPGPT_AVX2 inline Vec zero() {
  return _mm256_setzero_ps();
}
HIPGPT_AVX2 inline Vec broadcast(float x) {
  return _mm256_set1_ps(x);
}
HIPGPT_AVX2 inline Vec add(Vec a, Vec b) {
  return _mm256_add_ps(a, b);
}
HIPGPT_AVX2 inline Vec multiply(Vec a, Vec b) {
  return _mm256_mul_ps(a, b);
}
HIPGPT_AVX2 inline Vec multiply_add(Vec a, Vec b, Vec c) {
  return _mm256_fmadd_ps(a, b, c);
}
HIPGPT_AVX2 inline Vec load(const float* p) {
  return _mm256_loadu_ps(p);
}
HIPGPT_AVX2 inline Vec load(const uint16_t* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
HIPGPT_AVX2 inline void store(float* p, Vec v) {
  _mm256_storeu_ps(p, v);
}
HIPGPT_AVX2 inline float sum(Vec v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

}  // namespace avx2

namespace avx512 {

using Vec = __m512;
constexpr int64_t kWidth = 16;
constexpr __mmask16 kAll = 0xffff;  // GCC 12 warns inside its own versions without a mask

HIPGPT_AVX512 inline Vec zero() {
  return _mm512_setzero_ps();
}
HIPGPT_AVX512 inline Vec broadcast(float x) {
  return _mm512_set1_ps(x);
}
HIPGPT_AVX512 inline Vec add(Vec a, Vec b) {
  return _mm512_add_ps(a, b);
}
HIPGPT_AVX512 inline Vec multiply(Vec a, Vec b) {
  return _mm512_mul_ps(a, b);
}
HIPGPT_AVX512 inline Vec multiply_add(Vec a, Vec b, Vec c) {
  return _mm512_fmadd_ps(a, b, c);
}
HIPGPT_AVX512 inline Vec load(const float* p) {
  return _mm512_loadu_ps(p);
}
HIPGPT_AVX512 inline Vec load(const uint16_t* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, _mm512_maskz_cvtepu16_epi32(kAll, bits), 16));
}
HIPGPT_AVX512 inline void store(float* p, Vec v) {
  _mm512_storeu_ps(p, v);
}
HIPGPT_AVX512 inline float sum(Vec v) {
  float lanes[kWidth];  // GCC 12 warns inside its own extraction of a half
  store(lanes, v);
  return avx2::sum(avx2::add(avx2::load(lanes), avx2::load(lanes + avx2::kWidth)));
}

}  // namespace avx512

}  // namespace hipgpt::cpu

#endif
