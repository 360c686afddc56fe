// A linear layer for the few rows of a decoding step, with what is left of the LayerNorm before it, and the residual
// connection after it.
//
// For R rows: 2 R in out operations on the bytes of W, 2 an element in bf16 or 17/16 in int8. So W is the cost: the
// minimum time is its bytes divided by the bandwidth, as long as R is small. A step of GPT-2 124M reads 247 MB in
// bf16 (57 us at 4.3 TB/s) or 131 MB in int8 (31 us), in a chain of 64 kernels of which each needs the result of the
// one before. So the chain is the other cost: the time from a kernel's input to its result, and half a microsecond
// from one kernel of a graph to the next. Both kernels start early (early_start.h) and have their rows of W fetched
// while the kernel before them runs.
//
// One or two rows: a team of 32 lanes computes an element of y, the product of a row of x with a row of W, in
// registers. No thread waits for another team, and all sums over the lanes are taken together.
//
// Up to 32 rows: a block computes 16 columns of y on the matrix cores. Its waves take every n-th step along k. They
// read both operands straight from memory, 16 bytes a lane (mma/row_atom.h), because no element of W is used twice,
// and add their sums in shared memory.
//
// The variance of a row is taken about the mean of its first eight columns, c: sum (x - c)^2 / n - (sum (x - c) / n)^2.
// What is subtracted is at most n / 8 times the variance, so little is lost, and the row is passed once.
//
// Other shapes, fp32, and GPUs without matrix cores run the operations that this one fuses.
//
// Measured on an H200 by tests/bench/decode_bench, in microseconds; the floor is reading W from memory:
//
// |                     | floor | 1 row | 8 rows | 32 rows |
// |---------------------|-------|-------|--------|---------|
// | 768 -> 2304         | 0.8   | 2.0   | 3.4    | 5.3     |
// | the same, scaled    | 0.8   | 2.5   | 3.5    | 7.2     |
// | 768 -> 768          | 0.3   | 1.4   | 2.9    | 2.8     |
// | 768 -> 3072, scaled | 1.1   | 2.9   | 3.8    | 7.3     |
// | 3072 -> 768         | 1.1   | 2.5   | 6.2    | 7.9     |
// | 768 -> 50257        | 18    | 21    | 25     |         |
//
// The scaled products of one row were measured before they were limited to 64 registers. With LayerNorm's weight and
// bias in the kernel instead of in W, the second line was 0.8 us longer: they are four times the bytes of x, and two
// more sums.
#include <algorithm>

#include "device/check.h"
#include "hip/activation.h"
#include "hip/check.h"
#include "hip/early_start.h"
#include "hip/epilogue.h"
#include "hip/mma/row_atom.h"
#include "hip/reduce.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

constexpr int kThreads = 256;
constexpr int kUnit = 8;           // columns of x and W that a lane reads at once
constexpr float kEpsilon = 1e-5f;  // of LayerNorm

// ---- Operands -------------------------------------------------------------------------------------------

/// Eight bf16.
using Pairs = uint32_t[kUnit / 2];

__device__ inline void load_pairs(Pairs& pairs, const bf16* eight) {
  const auto four = *reinterpret_cast<const Vec<uint32_t, kUnit / 2>*>(eight);
#pragma unroll
  for (int i = 0; i < kUnit / 2; ++i) pairs[i] = four[i];
}

/// kUnit columns of a row of W as they lie in memory.
template <typename W>
struct WeightUnit;

template <>
struct WeightUnit<bf16> {
  Pairs pairs;

  __device__ Vec<float, kUnit> floats() const {
    Vec<float, kUnit> v;
#pragma unroll
    for (int e = 0; e < kUnit; ++e)
      v[e] = __uint_as_float(e % 2 == 0 ? pairs[e / 2] << 16 : pairs[e / 2] & 0xffff0000u);
    return v;
  }
  __device__ float add_dot_to(float sum, Vec<float, kUnit> x) const {
    return add_dot(sum, x, floats());
  }
  __device__ void copy_to(Pairs& to) const {
#pragma unroll
    for (int i = 0; i < kUnit / 2; ++i) to[i] = pairs[i];
  }
};

template <>
struct WeightUnit<Int8Group> {
  uint32_t fours[2];
  float scale;

  /// The integers as floats. Those of NVIDIA's GPUs that convert integers at a quarter of the speed put a byte b into a
  /// float with the exponent of 2^23 instead, which is 2^23 + b.
  __device__ Vec<float, kUnit> integers() const {
    Vec<float, kUnit> v;
#pragma unroll
    for (int e = 0; e < kUnit; ++e) {
      const uint32_t biased = fours[e / 4] ^ 0x80808080u;  // 128 more, so that no byte is negative
#if defined(__CUDA_ARCH__)
      v[e] = __uint_as_float(__byte_perm(biased, 0x4b000000u, 0x7540u | e % 4)) - (8388608.0f + 128.0f);
#else
      v[e] = static_cast<float>(biased >> (8 * (e % 4)) & 0xffu) - 128.0f;
#endif
    }
    return v;
  }
  __device__ float add_dot_to(float sum, Vec<float, kUnit> x) const {
    return fmaf(scale, add_dot(0.0f, x, integers()), sum);
  }
  __device__ void copy_to(Pairs& to) const {
    const Vec<float, kUnit> v = integers() * scale;
#pragma unroll
    for (int i = 0; i < kUnit / 2; ++i) to[i] = rounded_pair(v[2 * i], v[2 * i + 1]);
  }
};

/// W [out,in] in bf16 or int8. `in` is a multiple of kUnit.
template <typename W>
struct Weight {
  const W* rows;
  int in, out;

  __device__ const W* row(int j) const {
    constexpr int kGroup = Int8Group::kSize;
    return rows + j * static_cast<int64_t>(std::is_same_v<W, bf16> ? in : (in + kGroup - 1) / kGroup);
  }

  __device__ WeightUnit<W> load(int j, int k) const {
    WeightUnit<W> unit;
    if constexpr (std::is_same_v<W, bf16>) {
      load_pairs(unit.pairs, row(j) + k);
    } else {
      constexpr int kGroup = Int8Group::kSize;
      const Int8Group& group = row(j)[k / kGroup];
      const auto* fours = reinterpret_cast<const uint32_t*>(group.values + k % kGroup);
      unit = {{fours[0], fours[1]}, group.scale};
    }
    return unit;
  }

  /// Starts to fetch rows [first, first + count). kLanes lanes share the lines.
  template <int kLanes>
  __device__ void prefetch_rows(int first, int count, int lane) const {
    const auto* const begin = reinterpret_cast<const char*>(row(min(first, out)));
    const auto* const end = reinterpret_cast<const char*>(row(min(first + count, out)));
    prefetch<kLanes>(begin, static_cast<int>(end - begin), lane);
  }
};

template <typename W, typename Out>
struct FusedLinear {
  Weight<W> weight;
  Out* y;               // [rows,out]
  const bf16* x;        // [rows,in]
  const float* bias;    // or null
  const Out* residual;  // [rows,out], or null
  Activation act;
  int rows;
  bool scaled;

  __device__ const bf16* row_of_x(int r) const { return x + static_cast<int64_t>(r) * weight.in; }
  __device__ void store(int64_t at, float product, float own_bias, float own_residual) const {
    float z = product + own_bias;
    if (act != Activation::kNone) z = Epilogue<Out>::activated(act, Vec<float, 1>{{z}})[0];
    y[at] = from_float<Out>(own_residual + z);
  }
};

/// Sums of a row of x less a constant, and 1 / sqrt(variance + epsilon) from them.
struct Moments {
  float sum = 0.0f, squares = 0.0f;

  __device__ void add(Vec<float, kUnit> x, float constant) {
    x = map(x, [constant](float v) { return v - constant; });
    sum += sum_of(x);
    squares = add_dot(squares, x, x);
  }
  __device__ float rstd(float inverse_n) const {
    const float mean = sum * inverse_n, variance = squares * inverse_n - mean * mean;
    return 1.0f / sqrtf(fmaxf(variance, 0.0f) + kEpsilon);
  }
};

__device__ inline float mean_of(const WeightUnit<bf16>& columns) {
  return sum_of(columns.floats()) / static_cast<float>(kUnit);
}

__device__ inline WeightUnit<bf16> load_unit(const bf16* columns) {
  WeightUnit<bf16> unit;
  load_pairs(unit.pairs, columns);
  return unit;
}

// ---- One or two rows ------------------------------------------------------------------------------------

constexpr int kTeams = kThreads / kTeam, kWidth = kTeam * kUnit;

/// A team computes kAtOnce elements of each row of y. kUnits units of a row of W are on their way together; if kWhole,
/// they are the whole row, and no load and no sum depends on a test. What does not depend on the earlier kernels is
/// computed before the wait. NVIDIA's compiler puts all loads before the first sum only if it need not save registers
/// for a second block; otherwise two are on their way at a time, and 3072 -> 768 takes 4.7 us.
template <int kUnits, bool kWhole, int kAtOnce, bool kScaled, typename W, typename Out>
__global__ HIPGPT_LAUNCH_BOUNDS(kThreads,
                                (kScaled && kUnits <= 4) ? 4 : 1) void row_kernel(FusedLinear<W, Out> a) {
  const int lane = threadIdx.x % kTeam, column = kUnit * lane, out = a.weight.out;
  const int in = kWhole ? kUnits * kWidth : a.weight.in;
  const int first = (static_cast<int>(blockIdx.x) * kTeams + static_cast<int>(threadIdx.x) / kTeam) * kAtOnce;
  const int own = first + lane;  // the element of y that this lane stores
  const bool stores = lane < kAtOnce && own < out, has_bias = stores && a.bias != nullptr,
             has_residual = stores && a.residual != nullptr;
  const float inverse_in = 1.0f / static_cast<float>(in);
  const bf16* row = a.x;
  a.weight.template prefetch_rows<kTeam>(first, kAtOnce, lane);
  wait_for_earlier_kernels();
  let_next_kernel_start();
  if (first >= out) return;

#pragma unroll 1
  for (int r = 0; r < a.rows; ++r, row += in) {
    Moments moments;
    // A short row has two sums, so that fewer additions wait for each other.
    constexpr int kSums = kUnits <= 4 && kAtOnce == 1 ? 2 : 1;
    float products[kAtOnce][kSums] = {}, constant = 0.0f;
    WeightUnit<bf16> first_columns = {};
    if constexpr (kScaled) first_columns = load_unit(row);
    const auto add_columns = [&](int begin) {
      const auto is_inside = [&](int u) { return kWhole || begin + u * kWidth + column < in; };
      WeightUnit<W> w[kAtOnce][kUnits] = {};
      WeightUnit<bf16> x[kUnits] = {};
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        if (!is_inside(u)) continue;
        const int k = begin + u * kWidth + column;
        x[u] = load_unit(row + k);
#pragma unroll
        for (int o = 0; o < kAtOnce; ++o)
          w[o][u] = a.weight.load(kAtOnce == 1 ? first : min(first + o, out - 1), k);
      }
      if (kScaled && begin == 0) constant = mean_of(first_columns);
#pragma unroll
      for (int u = 0; u < kUnits; ++u) {
        const Vec<float, kUnit> values = x[u].floats();
        if (kScaled && is_inside(u)) moments.add(values, constant);
#pragma unroll
        for (int o = 0; o < kAtOnce; ++o)
          products[o][u % kSums] = w[o][u].add_dot_to(products[o][u % kSums], values);
      }
    };
    const int64_t at = static_cast<int64_t>(r) * out + own;
    const float bias = has_bias ? a.bias[own] : 0.0f;
    const Out residual = has_residual ? a.residual[at] : Out{};
    add_columns(0);
    if constexpr (!kWhole) {
#pragma unroll 1
      for (int begin = kUnits * kWidth; begin < in; begin += kUnits * kWidth) add_columns(begin);
    }

    if constexpr (kScaled) {
      moments.sum = reduce_lanes<kTeam>(moments.sum, Add());
      moments.squares = reduce_lanes<kTeam>(moments.squares, Add());
    }
    float product = 0.0f;
#pragma unroll
    for (int o = 0; o < kAtOnce; ++o) {
      const float sum =
          reduce_lanes<kTeam>(add_in_order(products[o][0], products[o] + 1, kSums - 1, 1), Add());
      if (lane == o) product = sum;
    }
    if constexpr (kScaled) product *= moments.rstd(inverse_in);
    if (stores) a.store(at, product, bias, to_float(residual));
  }
}

template <int kUnits, bool kWhole, int kAtOnce, bool kScaled, typename W, typename Out>
void launch_rows(const Stream& stream, const FusedLinear<W, Out>& a) {
  launch_early(stream, row_kernel<kUnits, kWhole, kAtOnce, kScaled, W, Out>,
               dim3(ceil_div(a.weight.out, kTeams * kAtOnce)), dim3(kThreads), a);
}

/// The layers of a step are short: a team computes one element. The head is long. E is 768 in GPT-2 124M and 1024 in
/// 355M, and F four times that.
template <bool kScaled, typename W, typename Out>
void launch_rows(const Stream& stream, const FusedLinear<W, Out>& a) {
  const int in = a.weight.in;
  if constexpr (!kScaled) {
    const bool is_long = a.weight.out > 16 * kTeams * stream.compute_units;
    if (is_long && in == 3 * kWidth) return launch_rows<3, true, 4, false>(stream, a);
    if (is_long) return launch_rows<4, false, 4, false>(stream, a);
    if (in == 12 * kWidth) return launch_rows<12, true, 1, false>(stream, a);
  }
  if (in == 3 * kWidth) return launch_rows<3, true, 1, kScaled>(stream, a);
  if (in == 4 * kWidth) return launch_rows<4, true, 1, kScaled>(stream, a);
  launch_rows<8, false, 1, kScaled>(stream, a);
}

// ---- Up to 32 rows --------------------------------------------------------------------------------------

constexpr int kColumns = 16;   // of y in a block
constexpr int kTileRows = 16;  // of an atom
constexpr int kMostRows = 32;  // of x

using Atom = RowAtom<AtomOf<AttentionAtomOfTarget>::Type>;

/// The rows of x that a lane holds for a tile. If kEight, the tile has at most eight rows, and the second row of a
/// lane is zero.
template <bool kScaled, bool kEight>
struct LeftRows {
  static constexpr int kRows = kEight && Atom::kRows == 2 ? 1 : Atom::kRows;  // that are not zero

  const bf16* rows[kRows];  // null beyond the rows of x
  WeightUnit<bf16> first_columns[kRows] = {};
  Moments moments[kRows];

  template <typename Work>
  __device__ void begin(const Work& a, int first, int lane) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int index = first + Atom::row(lane, r);
      rows[r] = index < a.rows ? a.row_of_x(index) : nullptr;
      if (kScaled && rows[r] != nullptr) first_columns[r] = load_unit(rows[r]);
    }
  }

  /// Loads columns k ... of rows with `width` columns.
  __device__ void load(typename Atom::Operand& operand, int k, int width, int lane) {
#pragma unroll
    for (int u = 0; u < Atom::kUnits; ++u) {
      const int column = k + Atom::unit_k(lane, u);
#pragma unroll
      for (int r = 0; r < Atom::kRows; ++r) {
        Pairs& pairs = operand.pairs[r][u];
#pragma unroll
        for (int i = 0; i < kUnit / 2; ++i) pairs[i] = 0;
        if (r >= kRows || column >= width || rows[r] == nullptr) continue;
        load_pairs(pairs, rows[r] + column);
        if constexpr (kScaled) {
          WeightUnit<bf16> unit;
#pragma unroll
          for (int i = 0; i < kUnit / 2; ++i) unit.pairs[i] = pairs[i];
          moments[r].add(unit.floats(), mean_of(first_columns[r]));
        }
      }
    }
  }

  /// Stores what the lanes of a row have summed.
  __device__ void store_moments(Moments* to, int lane) const {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float sum = reduce_lanes<Atom::kParts, Atom::kRowStride>(moments[r].sum, Add());
      const float squares = reduce_lanes<Atom::kParts, Atom::kRowStride>(moments[r].squares, Add());
      to[Atom::row(lane, r)].sum = sum;  // the lanes of a row store the same
      to[Atom::row(lane, r)].squares = squares;
    }
  }
};

template <int kTiles, int kSteps, bool kScaled, bool kEight, typename W, typename Out>
__global__ HIPGPT_LAUNCH_BOUNDS(kThreads, 1) void tile_kernel(FusedLinear<W, Out> a) {
  constexpr int kWaves = kThreads / Atom::kLanes, kPitch = kColumns + 4, kStride = kWaves * Atom::kK;
  constexpr int kElements =
      (kTiles * kTileRows * kColumns + kThreads - 1) / kThreads;  // of y that a thread stores
  HIPGPT_SHARED(float, sums, [kWaves][kTiles * kTileRows][kPitch]);
  HIPGPT_SHARED(float, moments_memory, [kWaves * kTiles * kTileRows * 2]);
  Moments* const moments = reinterpret_cast<Moments*>(moments_memory);  // [kWaves][kTiles * kTileRows]
  const int lane = threadIdx.x % Atom::kLanes, wave = threadIdx.x / Atom::kLanes;
  const int in = a.weight.in, out = a.weight.out;
  const int first = static_cast<int>(blockIdx.x) * kColumns;
  const float inverse_in = 1.0f / static_cast<float>(in);
  a.weight.template prefetch_rows<kThreads>(first, kColumns, threadIdx.x);
  wait_for_earlier_kernels();
  let_next_kernel_start();

  float own[kTiles][Atom::kSum] = {};
  LeftRows<kScaled, kEight> rows[kTiles];
#pragma unroll
  for (int t = 0; t < kTiles; ++t) rows[t].begin(a, kTileRows * t, lane);
  const auto add_steps = [&](int begin) {
    typename Atom::Operand right[kSteps];
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
      for (int u = 0; u < Atom::kUnits; ++u) {
        const int k = begin + s * kStride + Atom::unit_k(lane, u);
#pragma unroll
        for (int r = 0; r < Atom::kRows; ++r) {
          WeightUnit<W> unit = {};
          if (k < in) unit = a.weight.load(min(first + Atom::row(lane, r), out - 1), k);
          unit.copy_to(right[s].pairs[r][u]);
        }
      }
    }
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        typename Atom::Operand left;
        rows[t].load(left, begin + s * kStride, in, lane);
        Atom::multiply_add(own[t], left, right[s]);
      }
    }
  };
  add_steps(wave * Atom::kK);
  for (int begin = kSteps * kStride; begin < in; begin += kSteps * kStride)
    add_steps(begin + wave * Atom::kK);
  // What a thread adds to its elements of y is on its way before the barrier.
  float biases[kElements];
  Out residuals[kElements];
#pragma unroll
  for (int e = 0; e < kElements; ++e) {
    const int index = e * kThreads + static_cast<int>(threadIdx.x),
              j = min(first + index % kColumns, out - 1);
    const int row = min(index / kColumns, a.rows - 1);
    biases[e] = a.bias != nullptr ? a.bias[j] : 0.0f;
    residuals[e] = a.residual != nullptr ? a.residual[static_cast<int64_t>(row) * out + j] : Out{};
  }
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
#pragma unroll
    for (int i = 0; i < Atom::kSum; ++i)
      sums[wave][kTileRows * t + Atom::sum_row(lane, i)][Atom::sum_column(lane, i)] = Atom::result(own[t][i]);
    if constexpr (kScaled) rows[t].store_moments(&moments[(wave * kTiles + t) * kTileRows], lane);
  }
  __syncthreads();
#pragma unroll
  for (int e = 0; e < kElements; ++e) {
    const int index = e * kThreads + static_cast<int>(threadIdx.x);
    const int row = index / kColumns, column = index % kColumns, j = first + column;
    if (row >= a.rows || j >= out) continue;
    float product =
        add_in_order(sums[0][row][column], &sums[1][row][column], kWaves - 1, kTiles * kTileRows * kPitch);
    if constexpr (kScaled) {
      Moments total = moments[row];
#pragma unroll
      for (int w = 1; w < kWaves; ++w) {
        const Moments& of_wave = moments[w * kTiles * kTileRows + row];
        total = {total.sum + of_wave.sum, total.squares + of_wave.squares};
      }
      product *= total.rstd(inverse_in);
    }
    a.store(static_cast<int64_t>(row) * out + j, product, biases[e], to_float(residuals[e]));
  }
}

template <int kTiles, int kSteps, bool kScaled, bool kEight, typename W, typename Out>
void launch_tiles(const Stream& stream, const FusedLinear<W, Out>& a) {
  launch_early(stream, tile_kernel<kTiles, kSteps, kScaled, kEight, W, Out>,
               dim3(ceil_div(a.weight.out, kColumns)), dim3(kThreads), a);
}

template <bool kScaled, typename W, typename Out>
void launch_tiles(const Stream& stream, const FusedLinear<W, Out>& a) {
  if (a.rows <= 8) return launch_tiles<1, 4, kScaled, true>(stream, a);
  if (a.rows <= kTileRows) return launch_tiles<1, 4, kScaled, false>(stream, a);
  launch_tiles<2, 4, kScaled, false>(stream, a);
}

// ---- Launch ---------------------------------------------------------------------------------------------

template <typename W>
void launch(const Stream& stream, Tensor y, Tensor residual, Tensor x, bool scaled, const Linear& layer,
            Activation act, const W* weight) {
  with_type_of(y, [&](auto type) {
    using Out = decltype(type);
    const FusedLinear<W, Out> a = {.weight = {weight, static_cast<int>(x.dim(1)), static_cast<int>(y.dim(1))},
                                   .y = elements<Out>(y),
                                   .x = elements<bf16>(x),
                                   .bias = elements<float>(layer.bias),
                                   .residual = elements<Out>(residual),
                                   .act = act,
                                   .rows = static_cast<int>(x.dim(0)),
                                   .scaled = scaled};
    if (a.rows <= 2) return scaled ? launch_rows<true>(stream, a) : launch_rows<false>(stream, a);
    scaled ? launch_tiles<true>(stream, a) : launch_tiles<false>(stream, a);
  });
}

/// Whether a kernel can compute these shapes fast. The head of many rows is a matrix product of the usual size.
bool fits(const Stream& stream, const Tensor& y, const Tensor& x, const Linear& layer) {
  const int64_t rows = x.dim(0), in = x.dim(1);
  const bool on_matrix_cores = stream.matrix_cores && rows <= kMostRows && in % 32 == 0 &&
                               (rows <= kUnit || y.dim(1) <= 64 * int64_t{stream.compute_units});
  return x.dtype() == DType::kBF16 && layer.layout == Layout::kOutIn && in % kUnit == 0 &&
         (rows <= 2 || on_matrix_cores) &&
         all_aligned(elements<bf16>(x), static_cast<const char*>(layer.weight.data()));
}

// ---- Other shapes ---------------------------------------------------------------------------------------

/// y = x / sqrt(variance of x + epsilon), for each row.
template <typename T>
__global__ __launch_bounds__(kThreads) void scale_kernel(T* y, const T* x, int width) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * width;
  float sum = 0.0f, squares = 0.0f;
  for (int i = threadIdx.x; i < width; i += kThreads) sum += to_float(x[first + i]);
  const float mean = block_sum<kThreads>(sum) / static_cast<float>(width);
  for (int i = threadIdx.x; i < width; i += kThreads) {
    const float centered = to_float(x[first + i]) - mean;
    squares = fmaf(centered, centered, squares);
  }
  const float rstd = 1.0f / sqrtf(block_sum<kThreads>(squares) / static_cast<float>(width) + kEpsilon);
  for (int i = threadIdx.x; i < width; i += kThreads)
    y[first + i] = from_float<T>(to_float(x[first + i]) * rstd);
}

/// Takes tensors from scratch memory; what is left serves the operations that use them.
class Scratch {
 public:
  explicit Scratch(const Stream& stream) : left_(stream) {}

  Tensor take(int64_t rows, int64_t width, DType dtype) {
    const Tensor taken(left_.scratch, {rows, width}, dtype);
    const int64_t floats = (static_cast<int64_t>(taken.bytes()) / 4 + 15) / 16 * 16 + 16;
    if (floats > left_.scratch_floats)
      throw Error("fused_linear: too little scratch memory for rows this wide");
    left_.scratch += floats;
    left_.scratch_floats -= floats;
    return taken;
  }
  const Stream& left() const { return left_; }

 private:
  Stream left_;
};

/// The same by one operation after the other.
void run_in_steps(const Stream& stream, Tensor y, Tensor residual, Tensor x, bool scaled, const Linear& layer,
                  Activation act) {
  Scratch scratch(stream);
  const int64_t R = x.dim(0), in = x.dim(1);
  Tensor input = x, branch = y;
  if (scaled) {
    input = scratch.take(R, in, x.dtype());
    with_type_of(x, [&](auto type) {
      using T = decltype(type);
      hipLaunchKernelGGL(scale_kernel<T>, dim3(static_cast<unsigned>(R)), dim3(kThreads), 0, stream.handle,
                         elements<T>(input), elements<T>(x), static_cast<int>(in));
      HIP_CHECK_LAUNCH("scale_kernel");
    });
  }
  if (residual) branch = scratch.take(R, y.dim(1), y.dtype());
  linear(scratch.left(), branch, input, layer, act, {});
  if (residual) add_dropout(stream, y, residual, branch, Dropout{});
}

}  // namespace

void fused_linear(const Stream& stream, Tensor y, Tensor residual, Tensor x, bool scaled, const Linear& layer,
                  Activation act) {
  check::fused_linear(y, residual, x, scaled, layer, act);
  if (!fits(stream, y, x, layer)) return run_in_steps(stream, y, residual, x, scaled, layer, act);
  if (layer.weight.dtype() == DType::kInt8)
    return launch(stream, y, residual, x, scaled, layer, act, layer.weight.int8());
  launch(stream, y, residual, x, scaled, layer, act, elements<bf16>(layer.weight));
}

}  // namespace hipgpt::hip
