// The kernel of matvec.cpp, which includes this file once for each instruction set. HIPGPT_TARGET names the
// instructions, and the namespace around it defines a vector `Vec` of kWidth floats and functions on it.

/// y[r,n] for N rows of the weight and R rows of x. Each group of 64 products has a sum of its own, so that
/// groups do not wait for each other. Meanwhile it fetches the rows that lie `ahead` of these, because the
/// processor's own prefetcher does not follow several rows within one page.
template <int N, int R, typename Weight>
HIPGPT_TARGET void dots(float* y, int64_t pitch, const Weight* const (&rows)[N], int64_t ahead,
                        const float* x, int64_t in) {
  Vec total[N][R];
#pragma GCC unroll 8
  for (int i = 0; i < N * R; ++i) total[i / R][i % R] = zero();
  for (int64_t g = 0; g < in / kGroup; ++g) {
    Vec part[N][R];
#pragma GCC unroll 8
    for (int i = 0; i < N * R; ++i) part[i / R][i % R] = zero();
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) prefetch_group(rows[n] + ahead, g);
#pragma GCC unroll 16
    for (int64_t k = 0; k < kGroup; k += kWidth) {
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) {
        const Vec w = load(rows[n] + g * kGroup + k);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
          part[n][r] = multiply_add(w, load(x + r * in + g * kGroup + k), part[n][r]);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < N * R; ++i) total[i / R][i % R] = add(total[i / R][i % R], part[i / R][i % R]);
  }
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) y[r * pitch + n] = sum(total[n][r]) + last_products(rows[n], x + r * in, in);
  }
}

/// Columns [begin, end) of y, for R rows of x.
template <int R, typename Weight>
HIPGPT_TARGET void columns(float* y, int64_t pitch, const Weight* weight, const float* x, int64_t in,
                           int64_t begin, int64_t end) {
  // Enough independent sums to hide the latency of an addition, and few enough for the registers.
  constexpr int N = 4 / R;
  int64_t j = begin;
  for (; j + N <= end; j += N) {
    const Weight* rows[N];
    for (int n = 0; n < N; ++n) rows[n] = weight + (j + n) * in;
    dots<N, R>(y + j, pitch, rows, N * in, x, in);
  }
  for (; j < end; ++j) {
    const Weight* const row[1] = {weight + j * in};
    dots<1, R>(y + j, pitch, row, in, x, in);
  }
}
