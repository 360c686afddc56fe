#include "cpu/matvec.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>

#include "util/bf16.h"

namespace hipgpt::cpu {

namespace {

constexpr int64_t kGroup = Int8Group::kSize;

// Value k of group g of a row, the factor of the group, and a hint to fetch it.
inline float value(const float* row, int64_t g, int64_t k) {
  return row[g * kGroup + k];
}
inline float value(const uint16_t* row, int64_t g, int64_t k) {
  return from_bf16(row[g * kGroup + k]);
}
inline float value(const Int8Group* row, int64_t g, int64_t k) {
  return static_cast<float>(row[g].values[k]);
}
template <typename Weight>
float scale(const Weight*, int64_t) {
  return 1.0f;
}
inline float scale(const Int8Group* row, int64_t g) {
  return row[g].scale;
}
inline void prefetch_group(const float* row, int64_t g) {
  for (int64_t k = 0; k < kGroup; k += 16) __builtin_prefetch(row + g * kGroup + k);
}
inline void prefetch_group(const uint16_t* row, int64_t g) {
  for (int64_t k = 0; k < kGroup; k += 32) __builtin_prefetch(row + g * kGroup + k);
}
inline void prefetch_group(const Int8Group* row, int64_t g) {
  __builtin_prefetch(row + g);
}

/// The products of a row after its last whole group.
template <typename Weight>
float last_products(const Weight* row, const float* x, int64_t in) {
  const int64_t g = in / kGroup, count = in % kGroup;
  float total = 0.0f;
  for (int64_t k = 0; k < count; ++k) total += value(row, g, k) * x[g * kGroup + k];
  return count > 0 ? total * scale(row, g) : 0.0f;
}

/// For processors without a kernel below: plain loops that the compiler vectorises.
namespace baseline {

template <int R, typename Weight>
void columns(float* y, int64_t pitch, const Weight* weight, int64_t row_size, const float* x, int64_t in,
             int64_t begin, int64_t end) {
  for (int64_t j = begin; j < end; ++j) {
    const Weight* row = weight + j * row_size;
    for (int r = 0; r < R; ++r) {
      float total = 0.0f;
      for (int64_t g = 0; g < in / kGroup; ++g) {
        float part = 0.0f;
#pragma omp simd reduction(+ : part)
        for (int64_t k = 0; k < kGroup; ++k) part += value(row, g, k) * x[r * in + g * kGroup + k];
        total += scale(row, g) * part;
      }
      y[r * pitch + j] = total + last_products(row, x + r * in, in);
    }
  }
}

}  // namespace baseline

#if defined(__x86_64__)

namespace avx2 {

#define HIPGPT_TARGET [[gnu::target("avx2,fma")]]
using Vec = __m256;
constexpr int64_t kWidth = 8;

HIPGPT_TARGET inline Vec zero() {
  return _mm256_setzero_ps();
}
HIPGPT_TARGET inline Vec broadcast(float x) {
  return _mm256_set1_ps(x);
}
HIPGPT_TARGET inline Vec multiply_add(Vec a, Vec b, Vec c) {
  return _mm256_fmadd_ps(a, b, c);
}
HIPGPT_TARGET inline Vec load(const float* row, int64_t g, int64_t k) {
  return _mm256_loadu_ps(row + g * kGroup + k);
}
HIPGPT_TARGET inline Vec load(const uint16_t* row, int64_t g, int64_t k) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + g * kGroup + k));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
HIPGPT_TARGET inline Vec load(const Int8Group* row, int64_t g, int64_t k) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row[g].values + k));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
HIPGPT_TARGET inline float sum(Vec v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
#include "cpu/matvec_kernel.h"
#undef HIPGPT_TARGET

}  // namespace avx2

namespace avx512 {

#define HIPGPT_TARGET [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]]
using Vec = __m512;
constexpr int64_t kWidth = 16;
constexpr __mmask16 kAll = 0xffff;  // GCC 12 warns inside its own versions without a mask

HIPGPT_TARGET inline Vec zero() {
  return _mm512_setzero_ps();
}
HIPGPT_TARGET inline Vec broadcast(float x) {
  return _mm512_set1_ps(x);
}
HIPGPT_TARGET inline Vec multiply_add(Vec a, Vec b, Vec c) {
  return _mm512_fmadd_ps(a, b, c);
}
HIPGPT_TARGET inline Vec load(const float* row, int64_t g, int64_t k) {
  return _mm512_loadu_ps(row + g * kGroup + k);
}
HIPGPT_TARGET inline Vec load(const uint16_t* row, int64_t g, int64_t k) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + g * kGroup + k));
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAll, _mm512_maskz_cvtepu16_epi32(kAll, bits), 16));
}
HIPGPT_TARGET inline Vec load(const Int8Group* row, int64_t g, int64_t k) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row[g].values + k));
  return _mm512_maskz_cvtepi32_ps(kAll, _mm512_maskz_cvtepi8_epi32(kAll, bytes));
}
HIPGPT_TARGET inline float sum(Vec v) {
  float lanes[kWidth];
  _mm512_storeu_ps(lanes, v);
#pragma GCC unroll 4
  for (int64_t half = kWidth / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}
#include "cpu/matvec_kernel.h"
#undef HIPGPT_TARGET

}  // namespace avx512

#endif

/// The function `columns` of a level.
template <int R, typename Weight>
auto* columns_of(VectorLevel level) {
#if defined(__x86_64__)
  if (level >= VectorLevel::kAVX512) return &avx512::columns<R, Weight>;
  if (level >= VectorLevel::kAVX2) return &avx2::columns<R, Weight>;
#endif
  static_cast<void>(level);
  return &baseline::columns<R, Weight>;
}

template <typename Weight>
void columns(const Matvec& m, const Weight* weight, int64_t begin, int64_t end, VectorLevel level) {
  const int64_t in = m.weight.dim(1);
  const int64_t row_size = static_cast<int64_t>(dtype_bytes(m.weight.dtype(), in) / sizeof(Weight));
  const auto run = [&](auto* f, int64_t first) {
    f(m.y + first * m.pitch, m.pitch, weight, row_size, m.x + first * in, in, begin, end);
  };
  // The first pass brings [begin, end) of the weight into a cache, the others find it there.
  int64_t r = 0;
  for (; r + 4 <= m.rows; r += 4) run(columns_of<4, Weight>(level), r);
  switch (m.rows - r) {
    case 3: return run(columns_of<3, Weight>(level), r);
    case 2: return run(columns_of<2, Weight>(level), r);
    case 1: return run(columns_of<1, Weight>(level), r);
    default: return;
  }
}

}  // namespace

void Matvec::columns(int64_t begin, int64_t end, VectorLevel level) const {
  switch (weight.dtype()) {
    case DType::kBF16: return cpu::columns(*this, weight.bf16(), begin, end, level);
    case DType::kInt8: return cpu::columns(*this, weight.int8(), begin, end, level);
    default: return cpu::columns(*this, weight.f32(), begin, end, level);
  }
}

}  // namespace hipgpt::cpu
