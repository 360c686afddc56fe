// The kernel of matvec.cpp for int8 weights, which includes this file once for each instruction set. The
// namespace around it defines what matvec_kernel.h needs, and a type `Rounded`, a group of x.

/// y[r,n] for N rows of the weight and R rows of x. The products of a group are summed as integers, so a weight
/// costs no conversion. The rows that lie `ahead` of these are fetched meanwhile.
template <int N, int R>
HIPGPT_TARGET void dots(float* y, int64_t pitch, const Int8Group* const (&rows)[N], int64_t ahead,
                        const RoundedGroup* x, int64_t groups) {
  Vec total[N][R];
#pragma GCC unroll 8
  for (int i = 0; i < N * R; ++i) total[i / R][i % R] = zero();
  for (int64_t g = 0; g < groups; ++g) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) prefetch_group(rows[n] + ahead, g);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const Rounded group(x[r * groups + g]);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) {
        const Vec scale = multiply(broadcast(rows[n][g].scale), group.scale);
        total[n][r] = multiply_add(scale, group.products(rows[n][g]), total[n][r]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < N * R; ++i) y[i % R * pitch + i / R] = sum(total[i / R][i % R]);
}

/// Columns [begin, end) of y, for R rows of x.
template <int R>
HIPGPT_TARGET void columns(float* y, int64_t pitch, const Int8Group* weight, const RoundedGroup* x,
                           int64_t in, int64_t begin, int64_t end) {
  constexpr int N = R == 1 ? 4 : 2;
  const int64_t groups = group_count(in);
  int64_t j = begin;
  for (; j + N <= end; j += N) {
    const Int8Group* rows[N];
    for (int n = 0; n < N; ++n) rows[n] = weight + (j + n) * groups;
    dots<N, R>(y + j, pitch, rows, N * groups, x, groups);
  }
  for (; j < end; ++j) {
    const Int8Group* const row[1] = {weight + j * groups};
    dots<1, R>(y + j, pitch, row, groups, x, groups);
  }
}
