// Matrix products: 2 m n k operations on 4 (mk + kn + mn) bytes, compute-bound.
//
// The shape of C alone determines its tiles, and each tile is one call of gemm() or of OpenBLAS on one thread. At
// the sizes of a small GPT, this is a third faster than OpenBLAS's own threads, which meet at several barriers
// per call. In addition, the bits of a tile do not depend on the number of threads.
//
// gemm() is faster on processors with AVX-512, and multiplies bf16 there. OpenBLAS serves all others.
//
// A product of up to eight rows with a weight stored [out,in] uses the kernels of matvec.h instead, which also
// read bf16 and int8. For more rows, a tile of such a weight is first converted to fp32 or, for AMX, to bf16.
#include <cblas.h>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "cpu/activation.h"
#include "cpu/bf16.h"
#include "cpu/column_sums.h"
#include "cpu/cpu_device.h"
#include "cpu/elements.h"
#include "cpu/gemm.h"
#include "cpu/matvec.h"
#include "cpu/parallel.h"
#include "cpu/widen.h"
#include "device/check.h"

namespace hipgpt::cpu {

namespace {

/// A product of which a tile is computed at a time. If c is null, its sums go to memory of the thread.
template <typename T>
struct Product : Gemm<T> {
  Tensor narrow = {};  // another type than T, [n,k], instead of b; transpose_b is true

  /// C[i0:i0+rows, j0:j0+cols], and the elements between its rows.
  std::pair<float*, int64_t> tile(int64_t i0, int64_t rows, int64_t j0, int64_t cols) const {
    Gemm<T> part = *this;
    part.m = rows;
    part.n = cols;
    part.a += this->transpose_a ? i0 : i0 * this->lda;
    if (narrow) {
      part.b = widened(j0, cols);
    } else {
      part.b += this->transpose_b ? j0 * this->ldb : j0;
    }
    if (part.c == nullptr) {
      part.c = thread_scratch(rows * cols);
      part.ldc = cols;
    } else {
      part.c += i0 * this->ldc + j0;
    }
    if constexpr (std::is_same_v<T, float>) {
      if (rows == 1 || !gemm(part)) blas(part);
    } else {
      gemm(part);
    }
    return {part.c, part.ldc};
  }

  static void blas(const Gemm<float>& p) {
    const auto m = static_cast<blasint>(p.m), n = static_cast<blasint>(p.n), k = static_cast<blasint>(p.k);
    const auto lda = static_cast<blasint>(p.lda), ldb = static_cast<blasint>(p.ldb);
    const float beta = p.accumulate ? 1.0f : 0.0f;
    if (m == 1) {  // one row: a matrix-vector product, as in generation
      cblas_sgemv(CblasRowMajor, p.transpose_b ? CblasNoTrans : CblasTrans, p.transpose_b ? n : k,
                  p.transpose_b ? k : n, 1.0f, p.b, ldb, p.a, p.transpose_a ? lda : 1, beta, p.c, 1);
      return;
    }
    cblas_sgemm(CblasRowMajor, p.transpose_a ? CblasTrans : CblasNoTrans,
                p.transpose_b ? CblasTrans : CblasNoTrans, m, n, k, 1.0f, p.a, lda, p.b, ldb, beta, p.c,
                static_cast<blasint>(p.ldc));
  }

  /// Rows [j0, j0 + rows) of `narrow` as T.
  const T* widened(int64_t j0, int64_t rows) const {
    T* wide = reinterpret_cast<T*>(thread_scratch(rows * this->k));
    vectorized([&] {
      for (int64_t j = 0; j < rows; ++j) widen_row(wide + j * this->k, narrow, j0 + j);
    });
    return wide;
  }
};

struct Tiling {
  int64_t rows, cols;
};

/// Halves the longer side until neither side exceeds 512. Continues until there are eight tiles, for eight
/// threads, or a tile has less than 4 MFLOP, about 50 us; the overhead of smaller tiles is too high.
Tiling choose_tiling(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kLongest = 512, kTiles = 8, kShortest = 32;
  constexpr double kSmallest = 4e6;
  const auto half = [](int64_t side) { return ((side + 1) / 2 + 15) / 16 * 16; };
  Tiling t{m, n};
  for (;;) {
    int64_t& longer = t.rows >= t.cols ? t.rows : t.cols;
    const int64_t tiles = ((m + t.rows - 1) / t.rows) * ((n + t.cols - 1) / t.cols);
    const double flops =
        2.0 * static_cast<double>(t.rows) * static_cast<double>(t.cols) * static_cast<double>(k);
    const bool worth_sharing = tiles < kTiles && flops > kSmallest && longer > kShortest;
    if (longer <= kLongest && !worth_sharing) return t;
    longer = half(longer);
  }
}

/// Calls after(z, pitch, i0, rows, j0, cols) for each tile, whose sums are at z, in rows that begin `pitch`
/// floats apart.
template <typename T, typename AfterTile>
void for_each_tile(ThreadPool& threads, const Product<T>& p, const AfterTile& after) {
  const Tiling t = choose_tiling(p.m, p.n, p.k);
  const int64_t across = (p.n + t.cols - 1) / t.cols, down = (p.m + t.rows - 1) / t.rows;
  threads.run(across * down, [&](int64_t index) {
    const int64_t i0 = index / across * t.rows, j0 = index % across * t.cols;
    const int64_t rows = std::min(t.rows, p.m - i0), cols = std::min(t.cols, p.n - j0);
    const auto [z, pitch] = p.tile(i0, rows, j0, cols);
    after(z, pitch, i0, rows, j0, cols);
  });
}

template <typename T>
void multiply(ThreadPool& threads, const Product<T>& p) {
  for_each_tile(threads, p, [](auto...) {});
}

/// z = x W^T for a few rows of x, then after() as in for_each_tile(). Rows of z begin `pitch` floats apart. Each
/// thread has several pieces, in case another program delays one, but long ones: fetching ahead is in vain at the
/// end of a piece. A result does not depend on the pieces.
template <typename AfterTile>
void multiply_few_rows(ThreadPool& threads, float* z, int64_t pitch, Tensor x, Tensor weight,
                       const AfterTile& after) {
  constexpr int64_t kPieces = 4, kColumns = 16;  // a vector of any width
  const Matvec product(z, pitch, x.f32(), x.dim(0), weight);
  const int64_t out = weight.dim(0), pieces = kPieces * threads.size();
  const int64_t grain = ((out + pieces - 1) / pieces + kColumns - 1) / kColumns * kColumns;
  parallel_ranges(threads, out, grain, [&](int64_t begin, int64_t end) {
    product.columns(begin, end);
    after(z + begin, pitch, 0, x.dim(0), begin, end - begin);
  });
}

/// The last part of linear(): adds the bias to the sums of a tile, and writes slope and y, while the sums are still
/// in the cache. y may be the sums.
template <typename Out>
struct Finish {
  Out *y, *slopes;
  int64_t pitch;
  const float* bias;
  Activation act;

  void operator()(float* sums, int64_t sums_pitch, int64_t i0, int64_t rows, int64_t j0, int64_t cols) const {
    if (std::is_same_v<Out, float> && bias == nullptr && slopes == nullptr && act == Activation::kNone)
      return;
    with_activation(act, [&](auto activation, auto slope) {
      vectorized([&] {
        for (int64_t i = 0; i < rows; ++i) {
          float* z = sums + i * sums_pitch;
          const int64_t at = (i0 + i) * pitch + j0;
          if (bias != nullptr) {
#pragma omp simd
            for (int64_t j = 0; j < cols; ++j) z[j] += bias[j0 + j];
          }
          if (slopes != nullptr) {
#pragma omp simd
            for (int64_t j = 0; j < cols; ++j) store(slopes + at + j, slope(z[j]));
          }
#pragma omp simd
          for (int64_t j = 0; j < cols; ++j) store(y + at + j, activation(z[j]));
        }
      });
    });
  }
};

constexpr int64_t kFewRows = 8;

/// In and Out are float, or uint16_t for bf16. Sums in fp32 lie where the result belongs.
template <typename In, typename Out>
void linear_of(ThreadPool& threads, Tensor y, Tensor x, const Linear& layer, Activation act, Tensor slope) {
  const bool out_in = layer.layout == Layout::kOutIn, narrow = layer.weight.dtype() != x.dtype();
  const Finish<Out> finish{elements<Out>(y), elements<Out>(slope), y.pitch(),
                           layer.bias ? layer.bias.f32() : nullptr, act};
  if constexpr (std::is_same_v<In, float>) {
    if (out_in && x.dim(0) <= kFewRows) {
      return multiply_few_rows(threads, y.f32(), y.pitch(), x, layer.weight, finish);
    }
  }
  Product<In> product{{.c = nullptr,
                       .a = elements<In>(x),
                       .b = narrow ? nullptr : elements<In>(layer.weight),
                       .m = y.dim(0),
                       .n = y.dim(1),
                       .k = x.dim(1),
                       .lda = x.dim(1),
                       .ldb = layer.weight.dim(1),
                       .ldc = y.pitch(),
                       .transpose_b = out_in},
                      narrow ? layer.weight : Tensor()};
  if constexpr (std::is_same_v<Out, float>) product.c = y.f32();
  for_each_tile(threads, product, finish);
}

/// Many rows of x, with a weight in bf16 or int8. x is rounded to bf16, because AMX then multiplies ten times as
/// fast as AVX-512 does in fp32.
void linear_by_amx(ThreadPool& threads, Tensor y, Tensor x, const Linear& layer, Activation act,
                   Tensor slope) {
  const int64_t rows = x.dim(0), width = x.dim(1);
  std::vector<uint16_t> bits(static_cast<size_t>(rows * width));
  parallel_ranges(threads, rows, rows_per_range(width), [&](int64_t begin, int64_t end) {
    store_row(bits.data() + begin * width, x.f32() + begin * width, (end - begin) * width);
  });
  linear_of<uint16_t, float>(threads, y, Tensor(bits.data(), {rows, width}, DType::kBF16), layer, act, slope);
}

/// T is float, or uint16_t for bf16.
template <typename T>
void linear_backward_of(ThreadPool& threads, Tensor dx, const Linear& gradients, Tensor dy, Tensor x,
                        const Linear& layer, Tensor slope, Tensor dx_sums) {
  const int64_t rows = dy.dim(0), out = dy.dim(1), in = x.dim(1);
  const bool out_in = layer.layout == Layout::kOutIn;
  const Product<T> dw{{.c = gradients.weight.f32(),
                       .a = elements<T>(out_in ? dy : x),
                       .b = elements<T>(out_in ? x : dy),
                       .m = out_in ? out : in,
                       .n = out_in ? in : out,
                       .k = rows,
                       .lda = out_in ? dy.pitch() : in,
                       .ldb = out_in ? in : dy.pitch(),
                       .ldc = out_in ? in : out,
                       .transpose_a = true,
                       .accumulate = true}};
  multiply(threads, dw);
  if (gradients.bias) add_column_sums<T>(threads, gradients.bias.f32(), dy);

  Product<T> product{{.c = nullptr,
                      .a = elements<T>(dy),
                      .b = elements<T>(layer.weight),
                      .m = rows,
                      .n = in,
                      .k = out,
                      .lda = dy.pitch(),
                      .ldb = layer.weight.dim(1),
                      .ldc = in,
                      .transpose_b = !out_in}};
  constexpr bool kInPlace = std::is_same_v<T, float>;
  if constexpr (kInPlace) product.c = dx.f32();
  T* const result = elements<T>(dx);
  const T* const slopes = elements<T>(slope);
  for_each_tile(threads, product,
                [=](float* sums, int64_t pitch, int64_t i0, int64_t tile_rows, int64_t j0, int64_t cols) {
                  if (kInPlace && slopes == nullptr) return;
                  vectorized([&] {
                    for (int64_t i = 0; i < tile_rows; ++i) {
                      const float* z = sums + i * pitch;
                      const int64_t at = (i0 + i) * in + j0;
                      if (slopes == nullptr) {
                        store_row(result + at, z, cols);
                        continue;
                      }
#pragma omp simd
                      for (int64_t j = 0; j < cols; ++j) store(result + at + j, z[j] * load(slopes + at + j));
                    }
                  });
                });
  if (dx_sums) add_column_sums<T>(threads, dx_sums.f32(), dx);
}

}  // namespace

void linear(ThreadPool& threads, Tensor y, Tensor x, const Linear& layer, Activation act, Tensor slope) {
  const bool out_in = layer.layout == Layout::kOutIn, narrow = out_in && is_narrow(x, layer.weight);
  check::linear(y, x, narrow ? Linear{in_fp32(layer.weight), layer.bias, layer.layout} : layer, act, slope);
  if (x.dtype() == DType::kBF16 && layer.weight.dtype() == DType::kInt8) {
    const int64_t out = layer.weight.dim(0), in = layer.weight.dim(1);
    std::vector<uint16_t> bits(static_cast<size_t>(out * in));
    for (int64_t j = 0; j < out; ++j) widen_row(bits.data() + j * in, layer.weight, j);
    return linear(threads, y, x, {Tensor(bits.data(), {out, in}, DType::kBF16), layer.bias, layer.layout},
                  act, slope);
  }
  if (x.dtype() == DType::kBF16 && !multiplies_bf16()) {
    InFp32 fp32(threads);
    return linear(threads, fp32.write(y), fp32.read(x), {fp32.read(layer.weight), layer.bias, layer.layout},
                  act, fp32.write(slope));
  }
  if (narrow && x.dim(0) > kFewRows && vector_level() >= VectorLevel::kAMX)
    return linear_by_amx(threads, y, x, layer, act, slope);
  if (x.dtype() == DType::kF32) return linear_of<float, float>(threads, y, x, layer, act, slope);
  if (y.dtype() == DType::kF32) return linear_of<uint16_t, float>(threads, y, x, layer, act, slope);
  linear_of<uint16_t, uint16_t>(threads, y, x, layer, act, slope);
}

void linear_backward(ThreadPool& threads, Tensor dx, const Linear& gradients, Tensor dy, Tensor x,
                     const Linear& layer, Tensor slope, Tensor dx_sums) {
  check::linear_backward(dx, gradients, dy, x, layer, slope, dx_sums);
  if (x.dtype() == DType::kBF16 && !multiplies_bf16()) {
    InFp32 fp32(threads);
    return linear_backward(threads, fp32.write(dx), gradients, fp32.read(dy), fp32.read(x),
                           {fp32.read(layer.weight), layer.bias, layer.layout}, fp32.read(slope), dx_sums);
  }
  x.dtype() == DType::kBF16
      ? linear_backward_of<uint16_t>(threads, dx, gradients, dy, x, layer, slope, dx_sums)
      : linear_backward_of<float>(threads, dx, gradients, dy, x, layer, slope, dx_sums);
}

}  // namespace hipgpt::cpu
