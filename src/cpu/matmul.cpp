// Matrix products: 2 m n k operations on 4 (mk + kn + mn) bytes, bound by arithmetic.
//
// C is cut into tiles by its shape alone, and each tile is one call of OpenBLAS on one thread. That beats
// OpenBLAS's own threads by a third at the sizes of a small GPT (they meet at a barrier several times in
// every call), and a tile's bits do not depend on how many threads there are.
#include <cblas.h>

#include <cassert>

#include "cpu/activation.h"
#include "cpu/cpu_device.h"
#include "cpu/parallel.h"

namespace hipgpt {

namespace {

using Op = Device::Op;

/// C = op(A) op(B) with C [m,n], as leading dimensions and pointers.
struct Product {
  float* c;
  const float *a, *b;
  int64_t m, n, k;
  Op op_a, op_b;
  bool accumulate;

  Product(Tensor tc, Tensor ta, Op oa, Tensor tb, Op ob, bool acc)
      : c(tc.f32()),
        a(ta.f32()),
        b(tb.f32()),
        m(tc.dim(0)),
        n(tc.dim(1)),
        k(ta.dim(oa == Op::kNone ? 1 : 0)),
        op_a(oa),
        op_b(ob),
        accumulate(acc) {
    assert(tc.rank() == 2 && ta.rank() == 2 && tb.rank() == 2);
    assert(ta.dim(oa == Op::kNone ? 0 : 1) == m);
    assert(tb.dim(ob == Op::kNone ? 0 : 1) == k && tb.dim(ob == Op::kNone ? 1 : 0) == n);
  }

  /// C[i0:i0+rows, j0:j0+cols].
  void tile(int64_t i0, int64_t rows, int64_t j0, int64_t cols) const {
    const float* a0 = op_a == Op::kNone ? a + i0 * k : a + i0;
    const float* b0 = op_b == Op::kNone ? b + j0 : b + j0 * k;
    const auto lda = static_cast<blasint>(op_a == Op::kNone ? k : m);
    const auto ldb = static_cast<blasint>(op_b == Op::kNone ? n : k);
    const float beta = accumulate ? 1.0f : 0.0f;
    if (m == 1) {  // one row: a matrix-vector product, as in generation
      const bool columns = op_b == Op::kNone;
      cblas_sgemv(CblasRowMajor, columns ? CblasTrans : CblasNoTrans,
                  static_cast<blasint>(columns ? k : cols), static_cast<blasint>(columns ? cols : k), 1.0f,
                  b0, ldb, a, 1, beta, c + j0, 1);
      return;
    }
    cblas_sgemm(CblasRowMajor, op_a == Op::kNone ? CblasNoTrans : CblasTrans,
                op_b == Op::kNone ? CblasNoTrans : CblasTrans, static_cast<blasint>(rows),
                static_cast<blasint>(cols), static_cast<blasint>(k), 1.0f, a0, lda, b0, ldb, beta,
                c + i0 * n + j0, static_cast<blasint>(n));
  }
};

struct Tiling {
  int64_t rows, cols;
};

/// Halves the longer side until a tile has at most 512 on a side, and on until there are eight tiles of work
/// for eight threads or a tile is under 4 MFLOP, about 50 us, below which starting it costs too much.
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
void for_each_tile(cpu::ThreadPool& threads, const Product& p, const AfterTile& after) {
  const Tiling t = choose_tiling(p.m, p.n, p.k);
  const int64_t across = (p.n + t.cols - 1) / t.cols, down = (p.m + t.rows - 1) / t.rows;
  threads.run(across * down, [&](int64_t index) {
    const int64_t i0 = index / across * t.rows, j0 = index % across * t.cols;
    const int64_t rows = std::min(t.rows, p.m - i0), cols = std::min(t.cols, p.n - j0);
    p.tile(i0, rows, j0, cols);
    after(i0, rows, j0, cols);
  });
}

}  // namespace

void CpuDevice::matmul(Tensor c, Tensor a, Op op_a, Tensor b, Op op_b, bool accumulate) {
  for_each_tile(threads_, Product(c, a, op_a, b, op_b, accumulate), [](auto...) {});
}

void CpuDevice::linear(Tensor y, Tensor x, Tensor w, Op op_w, Tensor b, Activation act, Tensor pre) {
  const Product product(pre ? pre : y, x, Op::kNone, w, op_w, false);
  const float* bias = b ? b.f32() : nullptr;
  float *before = product.c, *after = y.f32();
  const int64_t n = product.n;
  cpu::with_activation(act, [&](auto activation) {
    // Bias and activation are applied to a tile while it is still in the cache.
    for_each_tile(threads_, product, [=](int64_t i0, int64_t rows, int64_t j0, int64_t cols) {
      if (bias == nullptr && before == after && act == Activation::kNone) return;
      for (int64_t i = i0; i < i0 + rows; ++i) {
        float *z = before + i * n, *out = after + i * n;
        if (bias != nullptr) {
#pragma omp simd
          for (int64_t j = j0; j < j0 + cols; ++j) z[j] += bias[j];
        }
#pragma omp simd
        for (int64_t j = j0; j < j0 + cols; ++j) out[j] = activation(z[j]);
      }
    });
  });
}

namespace {

/// sums[j] += sum_i in[i,j]: a piece sums 64 columns, so that no two threads share a sum.
void add_column_sums(cpu::ThreadPool& threads, float* sums, const float* in, int64_t rows, int64_t n) {
  constexpr int64_t kColumns = 64;
  cpu::parallel_ranges(threads, n, kColumns, [=](int64_t begin, int64_t end) {
    float total[kColumns] = {};
    for (int64_t i = 0; i < rows; ++i) {
      const float* row = in + i * n + begin;
      for (int64_t j = 0; j < end - begin; ++j) total[j] += row[j];
    }
    for (int64_t j = begin; j < end; ++j) sums[j] += total[j - begin];
  });
}

}  // namespace

void CpuDevice::linear_backward(Tensor dx, Tensor dw, Tensor db, Tensor dy, Tensor x, Tensor w, Op op_w,
                                Activation act, Tensor pre) {
  if (op_w == Op::kNone) {
    matmul(dw, x, Op::kTranspose, dy, Op::kNone, true);
  } else {
    matmul(dw, dy, Op::kTranspose, x, Op::kNone, true);
  }
  if (db) add_column_sums(threads_, db.f32(), dy.f32(), dy.dim(0), dy.dim(1));

  const Product product(dx, dy, Op::kNone, w, op_w == Op::kNone ? Op::kTranspose : Op::kNone, false);
  if (act == Activation::kNone) return for_each_tile(threads_, product, [](auto...) {});
  const float* before = pre.f32();
  const int64_t n = product.n;
  cpu::with_slope(act, [&](auto slope) {
    for_each_tile(threads_, product, [=](int64_t i0, int64_t rows, int64_t j0, int64_t cols) {
      for (int64_t i = i0; i < i0 + rows; ++i) {
        float* out = product.c + i * n;
        const float* z = before + i * n;
#pragma omp simd
        for (int64_t j = j0; j < j0 + cols; ++j) out[j] *= slope(z[j]);
      }
    });
  });
}

}  // namespace hipgpt
