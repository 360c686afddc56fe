// Matrix products: 2 m n k operations on 4 (mk + kn + mn) bytes, compute-bound.
//
// The shape of C alone determines its tiles, and each tile is one OpenBLAS call on one thread. At the sizes
// of a small GPT, this is a third faster than OpenBLAS's own threads, which meet at several barriers per
// call. In addition, the bits of a tile do not depend on the number of threads.
//
// A product of up to eight rows with a weight stored [out,in] uses the kernels of matvec.h instead, which also
// read bf16 and int8. For more rows, a tile of such a weight is first converted to fp32.
#include <cblas.h>

#include <algorithm>

#include "cpu/activation.h"
#include "cpu/bf16.h"
#include "cpu/cpu_device.h"
#include "cpu/matvec.h"
#include "cpu/parallel.h"
#include "cpu/widen.h"
#include "device/check.h"

namespace hipgpt::cpu {

namespace {

/// C = op(A) op(B), or C += op(A) op(B), with C [m,n], op(A) [m,k], op(B) [k,n], where op may transpose.
struct Product {
  float* c;
  const float *a, *b;
  int64_t m, n, k;
  int64_t lda, ldb, ldc;  // elements between rows in memory
  bool transpose_a = false, transpose_b = false, accumulate = false;
  Tensor narrow = {};  // bf16 or int8 [n,k], instead of b; transpose_b is true

  /// C[i0:i0+rows, j0:j0+cols].
  void tile(int64_t i0, int64_t rows, int64_t j0, int64_t cols) const {
    const float* a0 = transpose_a ? a + i0 : a + i0 * lda;
    const float* b0 = narrow ? widened(j0, cols) : transpose_b ? b + j0 * ldb : b + j0;
    const float beta = accumulate ? 1.0f : 0.0f;
    if (m == 1) {  // one row: a matrix-vector product, as in generation
      cblas_sgemv(CblasRowMajor, transpose_b ? CblasNoTrans : CblasTrans,
                  static_cast<blasint>(transpose_b ? cols : k), static_cast<blasint>(transpose_b ? k : cols),
                  1.0f, b0, static_cast<blasint>(ldb), a, transpose_a ? static_cast<blasint>(lda) : 1, beta,
                  c + j0, 1);
      return;
    }
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, static_cast<blasint>(rows),
                static_cast<blasint>(cols), static_cast<blasint>(k), 1.0f, a0, static_cast<blasint>(lda), b0,
                static_cast<blasint>(ldb), beta, c + i0 * ldc + j0, static_cast<blasint>(ldc));
  }

  /// Rows [j0, j0 + rows) of `narrow` in fp32.
  const float* widened(int64_t j0, int64_t rows) const {
    float* wide = thread_scratch(rows * k);
    for (int64_t j = 0; j < rows; ++j) widen_row(wide + j * k, narrow, j0 + j);
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

template <typename AfterTile>
void for_each_tile(ThreadPool& threads, const Product& p, const AfterTile& after) {
  const Tiling t = choose_tiling(p.m, p.n, p.k);
  const int64_t across = (p.n + t.cols - 1) / t.cols, down = (p.m + t.rows - 1) / t.rows;
  threads.run(across * down, [&](int64_t index) {
    const int64_t i0 = index / across * t.rows, j0 = index % across * t.cols;
    const int64_t rows = std::min(t.rows, p.m - i0), cols = std::min(t.cols, p.n - j0);
    p.tile(i0, rows, j0, cols);
    after(i0, rows, j0, cols);
  });
}

void multiply(ThreadPool& threads, const Product& p) {
  for_each_tile(threads, p, [](auto...) {});
}

/// z = x W^T for a few rows of x, then after() as in for_each_tile(). Each thread has several pieces, in case
/// another program delays one, but long ones: fetching ahead is in vain at the end of a piece. A result does not
/// depend on the pieces.
template <typename AfterTile>
void multiply_few_rows(ThreadPool& threads, const Matvec& product, const AfterTile& after) {
  constexpr int64_t kPieces = 4, kColumns = 16;  // a vector of any width
  const int64_t out = product.weight().dim(0), pieces = kPieces * threads.size();
  const int64_t grain = ((out + pieces - 1) / pieces + kColumns - 1) / kColumns * kColumns;
  parallel_ranges(threads, out, grain, [&](int64_t begin, int64_t end) {
    product.columns(begin, end);
    after(0, product.rows(), begin, end - begin);
  });
}

/// sums[j] += sum_i x[i,j]. A piece sums 64 columns, so no two threads share a sum.
void add_column_sums(ThreadPool& threads, float* sums, Tensor x) {
  constexpr int64_t kColumns = 64;
  const int64_t rows = x.dim(0), n = x.dim(1), pitch = x.pitch();
  const float* in = x.f32();
  parallel_ranges(threads, n, kColumns, [=](int64_t begin, int64_t end) {
    float total[kColumns] = {};
    for (int64_t i = 0; i < rows; ++i) {
      const float* row = in + i * pitch + begin;
      for (int64_t j = 0; j < end - begin; ++j) total[j] += row[j];
    }
    for (int64_t j = begin; j < end; ++j) sums[j] += total[j - begin];
  });
}

}  // namespace

void linear(ThreadPool& threads, Tensor y, Tensor x, const Linear& layer, Activation act, Tensor pre) {
  const bool out_in = layer.layout == Layout::kOutIn, narrow = out_in && is_narrow(x, layer.weight);
  check::linear(y, x, narrow ? Linear{in_fp32(layer.weight), layer.bias, layer.layout} : layer, act, pre);
  if (x.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    const Tensor y32 = fp32.write(y), pre32 = fp32.write(pre);  // y is rounded last, for y may be pre
    return linear(threads, y32, fp32.read(x), {fp32.read(layer.weight), layer.bias, layer.layout}, act,
                  pre32);
  }
  const Tensor sums = pre ? pre : y;
  const float* bias = layer.bias ? layer.bias.f32() : nullptr;
  float *before = sums.f32(), *after = y.f32();
  const int64_t pitch = sums.pitch();
  with_activation(act, [&](auto activation) {
    // Bias and activation are applied to a tile while it is still in the cache.
    const auto finish = [=](int64_t i0, int64_t rows, int64_t j0, int64_t cols) {
      if (bias == nullptr && before == after && act == Activation::kNone) return;
      for (int64_t i = i0; i < i0 + rows; ++i) {
        float *z = before + i * pitch, *out = after + i * pitch;
        if (bias != nullptr) {
#pragma omp simd
          for (int64_t j = j0; j < j0 + cols; ++j) z[j] += bias[j];
        }
#pragma omp simd
        for (int64_t j = j0; j < j0 + cols; ++j) out[j] = activation(z[j]);
      }
    };
    constexpr int64_t kFewRows = 8;
    if (out_in && x.dim(0) <= kFewRows) {
      return multiply_few_rows(threads, {before, pitch, x.f32(), x.dim(0), layer.weight}, finish);
    }
    const Product product{.c = before,
                          .a = x.f32(),
                          .b = narrow ? nullptr : layer.weight.f32(),
                          .m = y.dim(0),
                          .n = y.dim(1),
                          .k = x.dim(1),
                          .lda = x.dim(1),
                          .ldb = layer.weight.dim(1),
                          .ldc = pitch,
                          .transpose_b = out_in,
                          .narrow = narrow ? layer.weight : Tensor()};
    for_each_tile(threads, product, finish);
  });
}

void linear_backward(ThreadPool& threads, Tensor dx, const Linear& gradients, Tensor dy, Tensor x,
                     const Linear& layer, Activation act, Tensor pre) {
  check::linear_backward(dx, gradients, dy, x, layer, act, pre);
  if (x.dtype() == DType::kBF16) {
    InFp32 fp32(threads);
    return linear_backward(threads, fp32.write(dx), gradients, fp32.read(dy), fp32.read(x),
                           {fp32.read(layer.weight), layer.bias, layer.layout}, act, fp32.read(pre));
  }
  const int64_t rows = dy.dim(0), out = dy.dim(1), in = x.dim(1);
  const bool out_in = layer.layout == Layout::kOutIn;
  const Product dw{.c = gradients.weight.f32(),
                   .a = out_in ? dy.f32() : x.f32(),
                   .b = out_in ? x.f32() : dy.f32(),
                   .m = out_in ? out : in,
                   .n = out_in ? in : out,
                   .k = rows,
                   .lda = out_in ? dy.pitch() : in,
                   .ldb = out_in ? in : dy.pitch(),
                   .ldc = out_in ? in : out,
                   .transpose_a = true,
                   .accumulate = true};
  multiply(threads, dw);
  if (gradients.bias) add_column_sums(threads, gradients.bias.f32(), dy);

  const Product product{.c = dx.f32(),
                        .a = dy.f32(),
                        .b = layer.weight.f32(),
                        .m = rows,
                        .n = in,
                        .k = out,
                        .lda = dy.pitch(),
                        .ldb = layer.weight.dim(1),
                        .ldc = in,
                        .transpose_b = !out_in};
  if (act == Activation::kNone) return multiply(threads, product);
  const float* before = pre.f32();
  const int64_t n = product.n;
  with_slope(act, [&](auto slope) {
    for_each_tile(threads, product, [=](int64_t i0, int64_t rows, int64_t j0, int64_t cols) {
      for (int64_t i = i0; i < i0 + rows; ++i) {
        float* out = product.c + i * n;
        const float* z = before + i * n;
#pragma omp simd
        for (int64_t j = j0; j < j0 + cols; ++j) out[j] *= slope(z[j]);
      }
    });
  });
}

}  // namespace hipgpt::cpu
