// A product of 2 m n k operations is cut into depths of kDepth: for each, the operands are packed once into a
// second-level cache, and a kernel computes blocks of C whose sums stay in registers.
//
// Both kernels see matrices of 32-bit words: a float, or a pair of bf16 that are adjacent along k. B is packed
// into panels of a few vectors, [words of k][columns]. A is read where it lies, [m][words of k], and packed only if
// it is transposed, widened, or, for AMX, ends within a tile.
//
// Share of the limit on one core of an Intel Xeon (family 6, model 207): see "Libraries" in README.md.
#include "cpu/gemm.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace hipgpt::cpu {

#if defined(__x86_64__)

namespace {

constexpr int64_t kWords = 16;  // of 32 bits in a vector or a row of a tile
constexpr int64_t kVectorBytes = 64;
constexpr __mmask16 kAll = 0xffff;  // GCC 12 warns inside its own versions without a mask

/// Memory of the calling thread, until its next call with the same `which`.
std::byte* scratch(int which, int64_t bytes) {
  struct Free {
    void operator()(void* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  thread_local std::array<std::pair<std::unique_ptr<void, Free>, int64_t>, 2> memory;
  auto& [block, size] = memory[static_cast<size_t>(which)];
  if (size < bytes) {
    block.reset();
    size = 0;
    block.reset(::operator new (static_cast<size_t>(bytes), std::align_val_t{64}));
    size = bytes;
  }
  return static_cast<std::byte*>(block.get());
}

// ---- Packing ------------------------------------------------------------------------------------------------

/// A mask of the first `count` of N bits.
template <typename Mask>
Mask first_bits(int64_t count) {
  constexpr int64_t kBits = 8 * sizeof(Mask);
  return count >= kBits ? static_cast<Mask>(~Mask{0})
                        : static_cast<Mask>((uint64_t{1} << std::max<int64_t>(count, 0)) - 1);
}

/// `count` floats, or bf16 widened to fp32; zeros fill the vector.
HIPGPT_AVX512 inline __m512i load_floats(const float* p, int64_t count) {
  return _mm512_maskz_loadu_epi32(first_bits<__mmask16>(count), p);
}
HIPGPT_AVX512 inline __m512i load_floats(const uint16_t* p, int64_t count) {
  const __m256i bits = _mm256_maskz_loadu_epi16(first_bits<__mmask16>(count), p);
  return _mm512_maskz_slli_epi32(kAll, _mm512_maskz_cvtepu16_epi32(kAll, bits), 16);
}

/// `count` pairs (p[i], q[i]), the second of which is 0 if q is null.
HIPGPT_AVX512 inline __m512i load_pairs(const uint16_t* p, const uint16_t* q, int64_t count) {
  const auto mask = first_bits<__mmask16>(count);
  const __m512i low = _mm512_maskz_cvtepu16_epi32(kAll, _mm256_maskz_loadu_epi16(mask, p));
  if (q == nullptr) return low;
  const __m512i high = _mm512_maskz_cvtepu16_epi32(kAll, _mm256_maskz_loadu_epi16(mask, q));
  return _mm512_or_si512(low, _mm512_maskz_slli_epi32(kAll, high, 16));
}

/// Transposes 16 x 16 words: in four steps, blocks of 8, 4, 2 and 1 words change places.
HIPGPT_AVX512 inline void transpose(__m512i (&rows)[16]) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
#pragma GCC unroll 4
  for (int d = 8; d > 0; d /= 2) {
    const __m512i step = _mm512_set1_epi32(d);
    const __mmask16 upper = _mm512_test_epi32_mask(lane, step);
    const __m512i from_low = _mm512_mask_add_epi32(lane, upper, lane, _mm512_set1_epi32(16 - d));
    const __m512i from_high =
        _mm512_mask_add_epi32(_mm512_add_epi32(lane, step), upper, lane, _mm512_set1_epi32(16));
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      if ((i & d) != 0) continue;
      const __m512i low = rows[i], high = rows[i + d];
      rows[i] = _mm512_permutex2var_epi32(low, from_low, high);
      rows[i + d] = _mm512_permutex2var_epi32(low, from_high, high);
    }
  }
}

/// How the elements of T become words: as they are, widened, or in pairs.
template <typename T, bool kPairs>
struct Words {
  static constexpr int64_t kPerWord = kPairs ? 2 : 1;
  static int64_t count(int64_t k) { return (k + kPerWord - 1) / kPerWord; }

  /// The 16 words of a row from element k on, where the row has `k_end` elements.
  HIPGPT_AVX512 static __m512i along(const T* row, int64_t k, int64_t k_end) {
    if constexpr (kPairs) {
      return _mm512_maskz_loadu_epi16(first_bits<__mmask32>(k_end - k), row + k);
    } else {
      return load_floats(row + k, k_end - k);
    }
  }

  /// Word w of `count` (up to 16) adjacent columns of a matrix with k_end rows.
  HIPGPT_AVX512 static __m512i across(const T* column, int64_t pitch, int64_t w, int64_t k_end,
                                      int64_t count) {
    if constexpr (kPairs) {
      const uint16_t* p = column + 2 * w * pitch;
      return load_pairs(p, 2 * w + 1 < k_end ? p + pitch : nullptr, count);
    } else {
      return load_floats(column + w * pitch, count);
    }
  }
};

/// Packs k elements of `count` columns of op(B) into a panel of `words` rows of `vectors` vectors; zeros fill it.
template <typename W, typename T>
HIPGPT_AVX512 void pack_panel(std::byte* panel, int64_t vectors, const T* b, int64_t ldb, bool transposed,
                              int64_t k, int64_t words, int64_t count) {
  const int64_t pitch = vectors * kVectorBytes;
  if (!transposed) {
    for (int64_t w = 0; w < words; ++w) {
      for (int64_t v = 0; v < vectors; ++v) {
        const int64_t columns = w * W::kPerWord < k ? count - v * kWords : 0;
        const __m512i values =
            columns > 0 ? W::across(b + v * kWords, ldb, w, k, columns) : _mm512_setzero_si512();
        _mm512_store_si512(panel + w * pitch + v * kVectorBytes, values);
      }
    }
    return;
  }
  for (int64_t v = 0; v < vectors; ++v) {
    for (int64_t w = 0; w < words; w += kWords) {
      std::byte* out = panel + w * pitch + v * kVectorBytes;
      __m512i rows[16];
      for (int64_t j = 0; j < 16; ++j) {
        const int64_t column = v * kWords + j;
        rows[j] = column < count ? W::along(b + column * ldb, w * W::kPerWord, k) : _mm512_setzero_si512();
      }
      transpose(rows);
      for (int64_t i = 0; i < std::min(words - w, kWords); ++i) _mm512_store_si512(out + i * pitch, rows[i]);
    }
  }
}

/// Packs op(A) [m,k] into rows of `words`, a multiple of 16; zeros fill them.
template <typename W, typename T>
HIPGPT_AVX512 void pack_rows(std::byte* out, const T* a, int64_t lda, bool transposed, int64_t m, int64_t k,
                             int64_t words) {
  for (int64_t w = 0; w < words; w += kWords) {
    if (!transposed) {
      for (int64_t i = 0; i < m; ++i) {
        _mm512_store_si512(out + 4 * (i * words + w), W::along(a + i * lda, w * W::kPerWord, k));
      }
      continue;
    }
    for (int64_t i = 0; i < m; i += kWords) {
      const int64_t count = std::min(m - i, kWords);
      __m512i rows[16];
      for (int64_t p = 0; p < 16; ++p) {
        rows[p] = (w + p) * W::kPerWord < k ? W::across(a + i, lda, w + p, k, count) : _mm512_setzero_si512();
      }
      transpose(rows);
      for (int64_t r = 0; r < count; ++r) _mm512_store_si512(out + 4 * ((i + r) * words + w), rows[r]);
    }
  }
}

/// Packs the transpose of A [k,m] into groups of 8 rows, [m/8][words of k][8]. What fills the last group is not
/// used.
template <typename T>
HIPGPT_AVX512 void pack_groups(std::byte* out, const T* a, int64_t lda, int64_t m, int64_t k) {
  for (int64_t w = 0; w < k; ++w) {
    for (int64_t i = 0; i < m; i += kWords) {
      std::byte *low = out + 4 * i * k + 32 * w, *high = low + 32 * k;
      const __m512i values = load_floats(a + w * lda + i, m - i);
      _mm256_store_si256(reinterpret_cast<__m256i*>(low), _mm512_maskz_extracti32x8_epi32(0xff, values, 0));
      _mm256_store_si256(reinterpret_cast<__m256i*>(high), _mm512_maskz_extracti32x8_epi32(0xff, values, 1));
    }
  }
}

// ---- Kernels ------------------------------------------------------------------------------------------------

/// A kernel's operands: rows of A, a panel of B and their block of C, with pitches in words.
struct Block {
  float* c;
  const float *a, *b;
  int64_t lda, ldc;
  int64_t rows, columns, words;
  bool grouped;  // A is [rows/8][words][8]
  bool accumulate;
};

/// R rows and V vectors of C. R V <= 24 sums, V vectors of B and one of A fit the 32 registers.
template <int R, int V, bool kGrouped>
HIPGPT_AVX512 void multiply_rows(const Block& p) {
  __m512 sums[R][V];
#pragma GCC unroll 24
  for (int i = 0; i < R * V; ++i) sums[i / V][i % V] = _mm512_setzero_ps();
  const float *a = p.a, *b = p.b;
  const int64_t lda = kGrouped ? 1 : p.lda;
  for (int64_t k = 0; k < p.words; ++k, a += kGrouped ? 8 : 1, b += V * kWords) {
    __m512 bk[V];
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) bk[v] = _mm512_load_ps(b + v * kWords);
    const float* a4 = a + 4 * lda;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 ar = _mm512_set1_ps(r < 4 ? a[r * lda] : a4[(r - 4) * lda]);
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) sums[r][v] = _mm512_fmadd_ps(ar, bk[v], sums[r][v]);
    }
  }
#pragma GCC unroll 24
  for (int i = 0; i < R * V; ++i) {
    const int64_t column = i % V * kWords;
    const auto mask = first_bits<__mmask16>(p.columns - column);
    float* c = p.c + i / V * p.ldc + column;
    __m512& sum = sums[i / V][i % V];
    if (p.accumulate) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, c));
    _mm512_mask_storeu_ps(c, mask, sum);
  }
}

/// fp32: 8 x 48 sums. Each word of k takes 3 loads of B, 8 broadcasts of A and 24 multiplications.
struct Avx512 {
  static constexpr int64_t kVectors = 3;
  static constexpr int64_t kDepth = 192;  // a panel takes 36 KiB of a first-level cache
  static constexpr int64_t kWordsMultiple = 1;

  static void begin() {}
  static void end() {}

  template <int V, bool kGrouped, int... R>
  static void multiply(Block& p, std::integer_sequence<int, R...>) {
    static constexpr std::array kKernels = {&multiply_rows<R + 1, V, kGrouped>...};
    for (int64_t i = 0; i < p.rows; i += 8, p.a += 8 * (kGrouped ? p.words : p.lda), p.c += 8 * p.ldc) {
      kKernels[static_cast<size_t>(std::min<int64_t>(p.rows - i, 8) - 1)](p);
    }
  }
  template <int V>
  static void multiply(Block& p) {
    constexpr auto kRows = std::make_integer_sequence<int, 8>();
    p.grouped ? multiply<V, true>(p, kRows) : multiply<V, false>(p, kRows);
  }
  static void multiply(Block p) {
    switch ((p.columns + kWords - 1) / kWords) {
      case 1: return multiply<1>(p);
      case 2: return multiply<2>(p);
      default: return multiply<3>(p);
    }
  }
};

/// bf16: 2 x 2 tiles of 16 x 16 sums. Each _tile_dpbf16ps is 16,384 operations.
struct Amx {
  static constexpr int64_t kVectors = 2;
  static constexpr int64_t kPanel = 32, kPanelBytes = 128;
  static constexpr int64_t kDepth = 512;  // elements: a panel takes 32 KiB
  static constexpr int64_t kWordsMultiple = 16;

  /// Eight tiles of 16 rows of 64 bytes.
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };

  HIPGPT_AMX static void begin() {
    static const Config config;
    _tile_loadconfig(&config);
  }
  HIPGPT_AMX static void end() { _tile_release(); }

  HIPGPT_AMX static void multiply_tiles(const Block& p) {
    const auto a_pitch = static_cast<size_t>(4 * p.lda), c_pitch = static_cast<size_t>(4 * p.ldc);
    const float *c10 = p.c + 16 * p.ldc, *a1 = p.a + 16 * p.lda;
    asm volatile("" ::: "memory");  // GCC 12 does not know that _tile_loadd reads memory
    if (p.accumulate) {
      _tile_loadd(0, p.c, c_pitch);
      _tile_loadd(1, p.c + 16, c_pitch);
      _tile_loadd(2, c10, c_pitch);
      _tile_loadd(3, c10 + 16, c_pitch);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    for (int64_t w = 0; w < p.words; w += kWords) {
      _tile_loadd(4, p.a + w, a_pitch);
      _tile_loadd(6, p.b + w * kPanel, kPanelBytes);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, p.b + w * kPanel + 16, kPanelBytes);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, a1 + w, a_pitch);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, p.c, c_pitch);
    _tile_stored(1, p.c + 16, c_pitch);
    _tile_stored(2, const_cast<float*>(c10), c_pitch);
    _tile_stored(3, const_cast<float*>(c10) + 16, c_pitch);
  }

  /// Blocks at the edge of C are computed in `edge`. The rows of A after the last one are not read.
  static void multiply(Block p) {
    constexpr int64_t kRows = 32;
    for (int64_t i = 0; i < p.rows; i += kRows, p.a += kRows * p.lda, p.c += kRows * p.ldc) {
      const int64_t rows = std::min(kRows, p.rows - i);
      if (rows == kRows && p.columns == kPanel) {
        multiply_tiles(p);
        continue;
      }
      alignas(64) float edge[kRows * kPanel] = {};
      alignas(64) float a[kRows * kDepth / 2];
      Block q = p;
      q.c = edge;
      q.ldc = kPanel;
      if (rows < kRows) {
        for (int64_t r = 0; r < kRows; ++r) {
          float* row = a + r * p.words;
          if (r < rows) {
            std::memcpy(row, p.a + r * p.lda, static_cast<size_t>(4 * p.words));
          } else {
            std::memset(row, 0, static_cast<size_t>(4 * p.words));
          }
        }
        q.a = a;
        q.lda = p.words;
      }
      const auto bytes = static_cast<size_t>(p.columns) * sizeof(float);
      for (int64_t r = 0; p.accumulate && r < rows; ++r)
        std::memcpy(edge + r * kPanel, p.c + r * p.ldc, bytes);
      multiply_tiles(q);
      for (int64_t r = 0; r < rows; ++r) std::memcpy(p.c + r * p.ldc, edge + r * kPanel, bytes);
    }
  }
};

template <typename Kernel, bool kPairs, typename T>
void multiply(const Gemm<T>& p) {
  using W = Words<T, kPairs>;
  constexpr bool kInPlace = kPairs || std::is_same_v<T, float>;  // else A is widened
  if (p.m == 0 || p.n == 0) return;
  // Panels and depths of nearly equal size.
  const int64_t all_vectors = (p.n + kWords - 1) / kWords;
  const int64_t panels = (all_vectors + Kernel::kVectors - 1) / Kernel::kVectors;
  const int64_t depths = std::max<int64_t>(1, (p.k + Kernel::kDepth - 1) / Kernel::kDepth);
  const int64_t depth = (p.k + depths * 32 - 1) / (depths * 32) * 32;
  Kernel::begin();
  for (int64_t k0 = 0; k0 == 0 || k0 < p.k; k0 += depth) {
    const int64_t k = std::min(depth, p.k - k0);
    const int64_t words =
        (W::count(k) + Kernel::kWordsMultiple - 1) / Kernel::kWordsMultiple * Kernel::kWordsMultiple;
    Block block{};
    block.rows = p.m;
    block.words = words;
    block.accumulate = p.accumulate || k0 > 0;
    block.grouped = !kPairs && p.transpose_a;
    const T* a = p.a + (p.transpose_a ? k0 * p.lda : k0);
    const T* b = p.b + (p.transpose_b ? k0 : k0 * p.ldb);
    if (kInPlace && !p.transpose_a && words * W::kPerWord == k && p.lda % W::kPerWord == 0) {
      block.a = reinterpret_cast<const float*>(a);
      block.lda = p.lda / W::kPerWord;
    } else {
      block.lda = (words + kWords - 1) / kWords * kWords;
      std::byte* packed = scratch(0, 4 * (p.m + kWords) * block.lda);
      if (block.grouped) {
        pack_groups(packed, a, p.lda, p.m, k);
      } else {
        pack_rows<W>(packed, a, p.lda, p.transpose_a, p.m, k, block.lda);
      }
      block.a = reinterpret_cast<const float*>(packed);
    }
    std::byte* panel = scratch(1, words * Kernel::kVectors * kVectorBytes);
    block.b = reinterpret_cast<const float*>(panel);
    block.ldc = p.ldc;
    for (int64_t i = 0, first = 0; i < panels; ++i) {
      const int64_t end = all_vectors * (i + 1) / panels, vectors = kPairs ? Kernel::kVectors : end - first;
      const int64_t j = first * kWords;
      block.columns = std::min(p.n, end * kWords) - j;
      pack_panel<W>(panel, vectors, b + (p.transpose_b ? j * p.ldb : j), p.ldb, p.transpose_b, k, words,
                    block.columns);
      block.c = p.c + j;
      Kernel::multiply(block);
      first = end;
    }
  }
  Kernel::end();
}

}  // namespace

bool gemm(const Gemm<float>& p, VectorLevel level) {
  if (level < VectorLevel::kAVX512) return false;
  multiply<Avx512, false>(p);
  return true;
}

bool gemm(const Gemm<uint16_t>& p, VectorLevel level) {
  if (level < VectorLevel::kAVX512) return false;
  if (level >= VectorLevel::kAMX) {
    multiply<Amx, true>(p);
  } else {
    multiply<Avx512, false>(p);
  }
  return true;
}

#else

bool gemm(const Gemm<float>&, VectorLevel) {
  return false;
}
bool gemm(const Gemm<uint16_t>&, VectorLevel) {
  return false;
}

#endif

}  // namespace hipgpt::cpu
