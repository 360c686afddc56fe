#include "cpu/matvec.h"

#include <algorithm>

#include "cpu/elements.h"
#include "cpu/vec.h"
#include "util/int8.h"

namespace hipgpt::cpu {

namespace {

constexpr int64_t kGroup = Int8Group::kSize;

// A hint to fetch a group of a row.
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
  for (int64_t k = 0; k < count; ++k) total += load(row + g * kGroup + k) * x[g * kGroup + k];
  return total;
}

/// The number of groups of a row, the last one filled up.
int64_t group_count(int64_t in) {
  return (in + kGroup - 1) / kGroup;
}

/// For processors without a kernel below: plain loops that the compiler vectorises.
namespace baseline {

template <int R, typename Weight>
void columns(float* y, int64_t pitch, const Weight* weight, const float* x, int64_t in, int64_t begin,
             int64_t end) {
  for (int64_t j = begin; j < end; ++j) {
    const Weight* row = weight + j * in;
    for (int r = 0; r < R; ++r) {
      float total = 0.0f;
      for (int64_t g = 0; g < in / kGroup; ++g) {
        float part = 0.0f;
#pragma omp simd reduction(+ : part)
        for (int64_t k = 0; k < kGroup; ++k) part += load(row + g * kGroup + k) * x[r * in + g * kGroup + k];
        total += part;
      }
      y[r * pitch + j] = total + last_products(row, x + r * in, in);
    }
  }
}

template <int R>
void columns(float* y, int64_t pitch, const Int8Group* weight, const RoundedGroup* x, int64_t in,
             int64_t begin, int64_t end) {
  const int64_t groups = group_count(in);
  for (int64_t j = begin; j < end; ++j) {
    for (int r = 0; r < R; ++r) {
      float total = 0.0f;
      for (int64_t g = 0; g < groups; ++g) {
        const Int8Group& w = weight[j * groups + g];
        const RoundedGroup& v = x[r * groups + g];
        int32_t part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t k = 0; k < kGroup; ++k) part += w.values[k] * v.values[k];
        total += w.scale * v.scale * static_cast<float>(part);
      }
      y[r * pitch + j] = total;
    }
  }
}

}  // namespace baseline

}  // namespace

#if defined(__x86_64__)

namespace avx2 {

#define HIPGPT_TARGET HIPGPT_AVX2

/// A group of x, and its products with a group of the weight, as eight sums of integers.
struct Rounded {
  __m256i values[2];
  Vec scale;

  HIPGPT_TARGET explicit Rounded(const RoundedGroup& group) : scale(broadcast(group.scale)) {
    for (int h = 0; h < 2; ++h) {
      values[h] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group.values + 32 * h));
    }
  }
  HIPGPT_TARGET Vec products(const Int8Group& weight) const {
    // |x| times w with the sign of x: the instruction takes unsigned bytes on the left. The sum of two products
    // is at most 2 * 127 * 127, which 16 bits hold.
    __m256i sum = _mm256_setzero_si256();
    for (int h = 0; h < 2; ++h) {
      const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight.values + 32 * h));
      const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(values[h]), _mm256_sign_epi8(w, values[h]));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    return _mm256_cvtepi32_ps(sum);
  }
};
#include "cpu/matvec_int8_kernel.h"
#include "cpu/matvec_kernel.h"
#undef HIPGPT_TARGET

}  // namespace avx2

namespace avx512 {

#define HIPGPT_TARGET HIPGPT_AVX512
#include "cpu/matvec_kernel.h"
#undef HIPGPT_TARGET

/// With VNNI, which most processors with AVX-512 have; the others use the kernels for AVX2.
namespace vnni {

#define HIPGPT_TARGET HIPGPT_AVX512_VNNI

struct Rounded {
  __m512i values, start;
  Vec scale;

  HIPGPT_TARGET explicit Rounded(const RoundedGroup& group)
      : values(_mm512_loadu_si512(group.values)),
        start(_mm512_maskz_set1_epi32(1, -128 * group.sum)),
        scale(_mm512_set1_ps(group.scale)) {}
  HIPGPT_TARGET Vec products(const Int8Group& weight) const {
    // The instruction takes unsigned bytes on the left: w + 128, so the sum starts at -128 sum_k x_k.
    const __m512i w = _mm512_xor_si512(_mm512_loadu_si512(weight.values), _mm512_set1_epi8(-128));
    return _mm512_maskz_cvtepi32_ps(kAll, _mm512_dpbusd_epi32(start, w, values));
  }
};
#include "cpu/matvec_int8_kernel.h"
#undef HIPGPT_TARGET

bool available() {
  static const bool found = __builtin_cpu_supports("avx512vnni") != 0;
  return found;
}

}  // namespace vnni

}  // namespace avx512

#endif

namespace {

/// The function `columns` of a level.
template <int R, typename Weight>
auto columns_of(VectorLevel level, const Weight*, const float*) {
  using Columns = void(float*, int64_t, const Weight*, const float*, int64_t, int64_t, int64_t);
#if defined(__x86_64__)
  if (level >= VectorLevel::kAVX512) return static_cast<Columns*>(avx512::columns<R, Weight>);
  if (level >= VectorLevel::kAVX2) return static_cast<Columns*>(avx2::columns<R, Weight>);
#endif
  static_cast<void>(level);
  return static_cast<Columns*>(baseline::columns<R, Weight>);
}

template <int R>
auto columns_of(VectorLevel level, const Int8Group*, const RoundedGroup*) {
  using Columns = void(float*, int64_t, const Int8Group*, const RoundedGroup*, int64_t, int64_t, int64_t);
#if defined(__x86_64__)
  if (level >= VectorLevel::kAVX512 && avx512::vnni::available())
    return static_cast<Columns*>(avx512::vnni::columns<R>);
  if (level >= VectorLevel::kAVX2) return static_cast<Columns*>(avx2::columns<R>);
#endif
  static_cast<void>(level);
  return static_cast<Columns*>(baseline::columns<R>);
}

}  // namespace

void round_row(RoundedGroup* groups, const float* x, int64_t in) {
  for (int64_t first = 0; first < in; first += kGroup, ++groups) {
    *groups = {};
    groups->scale = round_to_int8(groups->values, x + first, std::min(kGroup, in - first));
    for (const int8_t q : groups->values) groups->sum += q;
  }
}

Matvec::Matvec(float* y, int64_t pitch, const float* x, int64_t rows, Tensor weight)
    : y_(y), pitch_(pitch), x_(x), rows_(rows), weight_(weight) {
  if (weight.dtype() != DType::kInt8) return;
  const int64_t in = weight.dim(1), groups = group_count(in);
  rounded_.resize(static_cast<size_t>(rows * groups));
  for (int64_t r = 0; r < rows; ++r) round_row(rounded_.data() + r * groups, x + r * in, in);
}

template <typename Weight, typename X>
void Matvec::columns(const Weight* weight, const X* x, int64_t x_pitch, int64_t begin, int64_t end,
                     VectorLevel level) const {
  const auto run = [&](auto* f, int64_t first) {
    f(y_ + first * pitch_, pitch_, weight, x + first * x_pitch, weight_.dim(1), begin, end);
  };
  // The first pass brings [begin, end) of the weight into a cache, the others find it there.
  int64_t r = 0;
  for (; r + 4 <= rows_; r += 4) run(columns_of<4>(level, weight, x), r);
  switch (rows_ - r) {
    case 3: return run(columns_of<3>(level, weight, x), r);
    case 2: return run(columns_of<2>(level, weight, x), r);
    case 1: return run(columns_of<1>(level, weight, x), r);
    default: return;
  }
}

void Matvec::columns(int64_t begin, int64_t end, VectorLevel level) const {
  const int64_t in = weight_.dim(1);
  switch (weight_.dtype()) {
    case DType::kBF16: return columns(weight_.bf16(), x_, in, begin, end, level);
    case DType::kInt8: return columns(weight_.int8(), rounded_.data(), group_count(in), begin, end, level);
    default: return columns(weight_.f32(), x_, in, begin, end, level);
  }
}

}  // namespace hipgpt::cpu
