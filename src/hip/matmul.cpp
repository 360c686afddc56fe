// Matrix products: 2 m n k operations on 4 (mk + kn + mn) bytes in fp32, or half of that in bf16, bound by
// arithmetic.
//
// fp32 has three tile shapes (matmul_tile.h). Large products use 128 x 64, with matrix cores if the GPU has
// them. Without matrix cores, each thread computes 8 x 8 elements, 64 multiplications for 16 values read from
// shared memory. The second shape is 64 x 64. The third is 32 x 32 with a long step along k, for the products
// of small models, which are bound by latency. bf16 has two shapes, 128 x 128 and 64 x 64
// (matmul_bf16_tile.h), and on Hopper 128 x 192 and 128 x 128 (matmul_sm90.h). C may have too few tiles to
// keep the GPU busy although k is long, as in dW = x^T dy. Then k is split into parts, and a second kernel
// sums them in order. A single row (generation) is a matrix-vector product, bound by reading W once.
//
// Measured on an H200, with the shapes of GPT-2 and nanoGPT, beside cuBLAS (tests/bench):
//
// |      | TFLOP/s    | times cuBLAS        | limit                                               |
// |------|------------|---------------------|-----------------------------------------------------|
// | fp32 | 47 to 55   | 1.16 (1.04 to 1.22) | 165, a third of the matrix cores' tf32 rate of 495  |
// | bf16 | 369 to 754 | 1.08 (1.01 to 2.01) | 989, the peak                                       |
//
// GPT-2's products in bf16 reach 664 to 754 TFLOP/s. Without wgmma, a block reads 64 KB of shared memory and
// fills 32 KB for each step of 128 x 128 x 64, which takes at least 768 clocks: 247 to 409 TFLOP/s. Without
// matrix cores, fp32 reaches 34 to 40 TFLOP/s of a peak of 67. A row times GPT-2's head, 50257 x 768, takes
// 38 us and reads 4.0 of 4.3 TB/s.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "device/check.h"
#include "hip/check.h"
#include "hip/column_sums.h"
#include "hip/launch.h"
#include "hip/matmul_bf16_tile.h"
#include "hip/matmul_sm90.h"
#include "hip/reduce.h"
#include "hip/tuning.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

/// Whether a matrix is read transposed.
enum class Op : uint8_t { kNone, kTranspose };

template <typename Shape, bool kTransA, bool kTransB, bool kAligned>
__global__ HIPGPT_LAUNCH_BOUNDS(Shape::kThreads,
                                Shape::kThreads == 128 ? 3 : 2) void matmul_kernel(Product<float, float> p) {
  using Block = ProductTile<Shape, kTransA, kTransB, kAligned>;
  HIPGPT_SHARED(vec4, memory, [Block::kSize]);
  Block::run(p, memory);
}

// Two blocks on a compute unit. On AMD, the second number means waves on a SIMD; a block of CDNA has one on
// each.
template <typename Shape, bool kTransA, bool kTransB, bool kAligned, typename Out>
__global__ __launch_bounds__(Shape::kThreads, 2) void matmul_bf16_kernel(Product<bf16, Out> p) {
  HIPGPT_DYNAMIC_SHARED(vec4, memory);
  Bf16ProductTile<Shape, kTransA, kTransB, kAligned>::run(p, memory);
}

constexpr int kPartThreads = 256;

/// C from its parts, summed in order.
template <typename In, typename Out>
__global__ __launch_bounds__(kPartThreads) void sum_parts_kernel(Product<In, Out> p, int count) {
  constexpr int kPack = kVecSize<Out>;
  const int64_t row_packs = (p.n + kPack - 1) / kPack;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kPartThreads + threadIdx.x;
  const int row = static_cast<int>(i / row_packs), column = static_cast<int>(i % row_packs) * kPack;
  if (row >= p.m) return;
  Vec<float, kPack> total = {};
#pragma unroll 4
  for (int part = 0; part < count; ++part) {
#pragma unroll
    for (int v = 0; v < kPack; v += 4) {
      const vec4 four = p.sums_of(part).load(row, column + v);
#pragma unroll
      for (int e = 0; e < 4; ++e) total[v + e] += four[e];
    }
  }
  p.epilogue.store(p.result(), row, column, total);
}

using Large = TileShape<128, 64, 16, 8, 8, OfTarget>;
using Medium = TileShape<64, 64, 16, 4, 4, NoAtom>;
using Small = TileShape<32, 32, 32, 2, 2, NoAtom>;
using Bf16Large = Bf16Shape<128, 128, kBf16Threads, Bf16OfTarget>;
using Bf16Small = Bf16Shape<64, 64, 128, Bf16OfTarget>;
using Sm90Large = Sm90Shape<192, 2>;
using Sm90Small = Sm90Shape<128, 2>;

template <typename Shape>
constexpr bool kIsSm90 = std::is_same_v<Shape, Sm90Large> || std::is_same_v<Shape, Sm90Small>;

// Each combination of shape, layout and alignment is a kernel to compile, so rare ones have only small tiles:
// bf16 with rows that are not aligned, and fp32 results of bf16 other than the gradients of weights.
template <typename Shape>
constexpr bool kServesAll = !std::is_same_v<Shape, Bf16Large>;

template <typename Shape, bool kTransA, bool kTransB, bool kAligned, typename In, typename Out>
void launch_tiles(const Stream& stream, const Product<In, Out>& p) {
  if constexpr (kIsSm90<Shape>) {
    launch_sm90<Shape, kTransA, kTransB>(stream, p);
  } else {
    const dim3 grid(ceil_div(p.m, Shape::kM) * ceil_div(p.n, Shape::kN), ceil_div(p.k, p.part_k));
    const dim3 block(Shape::kThreads);
    if constexpr (std::is_same_v<In, bf16>) {
      using Block = Bf16ProductTile<Shape, kTransA, kTransB, kAligned>;
      launch_with_shared(matmul_bf16_kernel<Shape, kTransA, kTransB, kAligned, Out>, grid, block,
                         Block::kBytes, stream.handle, p);
    } else {
      hipLaunchKernelGGL((matmul_kernel<Shape, kTransA, kTransB, kAligned>), grid, block, 0, stream.handle,
                         p);
      HIP_CHECK_LAUNCH("matmul_kernel");
    }
  }
}

template <typename Shape, bool kAligned, typename In, typename Out>
void launch_layout(const Stream& stream, const Product<In, Out>& p, Op op_a, Op op_b) {
  if constexpr (std::is_same_v<In, Out> || kServesAll<Shape>) {
    if (op_a == Op::kNone && op_b == Op::kNone) return launch_tiles<Shape, false, false, kAligned>(stream, p);
    if (op_a == Op::kNone) return launch_tiles<Shape, false, true, kAligned>(stream, p);
  }
  if constexpr (std::is_same_v<Out, float>) launch_tiles<Shape, true, false, kAligned>(stream, p);
}

/// Whether A and B suit the loads of 16 bytes. In a tile of 128 rows, RDNA counts bytes with 32 bits.
template <typename In, typename Out>
bool operands_aligned(const Product<In, Out>& p) {
  constexpr int kLongestRow = 1 << 24;
  return rows_aligned(p.lda, p.a) && rows_aligned(p.ldb, p.b) &&
         (!kForAmd || (p.lda < kLongestRow && p.ldb < kLongestRow));
}

template <typename Shape, typename In, typename Out>
void launch_shape(const Stream& stream, const Product<In, Out>& p, Op op_a, Op op_b) {
  bool aligned = operands_aligned(p);
  // The tiles of fp32 do not allow for a row that ends inside a pack.
  if (std::is_same_v<In, float>)
    aligned = aligned && (op_a == Op::kNone ? p.k : p.m) % 4 == 0 && (op_b == Op::kNone ? p.n : p.k) % 4 == 0;
  if (aligned) return launch_layout<Shape, true>(stream, p, op_a, op_b);
  if constexpr (kServesAll<Shape> && !kIsSm90<Shape>) launch_layout<Shape, false>(stream, p, op_a, op_b);
}

// ---- One row: y = x W, reading W once -------------------------------------------------------------------

constexpr int kRowThreads = 256, kRowColumns = 32;

/// Applies the epilogue to kCount sums of row 0.
template <typename In, typename Out, int kCount>
__device__ void store_row(const Product<In, Out>& p, int column, Vec<float, kCount> sums) {
  constexpr int kPack = kVecSize<Out>;
#pragma unroll
  for (int i = 0; i < kCount; i += kPack) {
    Vec<float, kPack> pack;
#pragma unroll
    for (int e = 0; e < kPack; ++e) pack[e] = sums[i + e];
    p.epilogue.store(p.result(), 0, column + i, pack);
  }
}

/// W [k,n]: a block has 32 columns. Groups of its threads take different rows of W, and their sums are added
/// in shared memory.
template <bool kAligned, typename In, typename Out>
__global__ __launch_bounds__(kRowThreads) void row_times_matrix_kernel(Product<In, Out> p) {
  constexpr int kPack = kVecSize<In>, kLanes = kRowColumns / kPack, kGroups = kRowThreads / kLanes;
  const int column = static_cast<int>(blockIdx.x) * kRowColumns + threadIdx.x % kLanes * kPack;
  const int group = threadIdx.x / kLanes;
  Vec<float, kPack> sum = {};
  const In* w = p.b + column;
  const int end = column < p.n ? p.k : 0;  // a test inside the loop would separate its loads
#pragma unroll 4
  for (int i = group; i < end; i += kGroups) {
    const In* row = w + static_cast<int64_t>(i) * p.n;
    add_scaled(sum, to_float(p.a[i]),
               to_floats(kAligned ? load_whole(row) : load_part(row, 0, p.n - column)));
  }
  sum = sum_thread_rows<kRowThreads, kLanes>(sum);
  if (group == 0) store_row(p, column, sum);
}

/// W [n,k]: a team computes each column of W^T.
template <bool kAligned, typename In, typename Out>
__global__ __launch_bounds__(kRowThreads) void row_times_transposed_kernel(Product<In, Out> p) {
  constexpr int kPack = kVecSize<In>;
  const int lane = threadIdx.x % kTeam;
  const int column = static_cast<int>(blockIdx.x) * (kRowThreads / kTeam) + threadIdx.x / kTeam;
  const In* row = p.b + static_cast<int64_t>(column < p.n ? column : 0) * p.k;
  float sum = 0.0f;
#pragma unroll 4
  for (int i = lane * kPack; i < p.k; i += kTeam * kPack)
    sum = add_dot(sum, to_floats(load<kAligned>(p.a, i, p.k)), to_floats(load<kAligned>(row, i, p.k)));
  sum = reduce_lanes<kTeam>(sum, Add());
  const Rows<Out> one{p.c, p.n, 1, column + 1, false};
  if (lane == 0 && column < p.n) p.epilogue.store(one, 0, column, filled<float, kVecSize<Out>>(sum));
}

template <typename In, typename Out>
bool launch_row(const Stream& stream, const Product<In, Out>& p, Op op_b) {
  const dim3 block(kRowThreads);
  if (op_b == Op::kNone) {
    const auto kernel = rows_aligned(p.n, p.b) ? row_times_matrix_kernel<true, In, Out>
                                               : row_times_matrix_kernel<false, In, Out>;
    hipLaunchKernelGGL(kernel, dim3(ceil_div(p.n, kRowColumns)), block, 0, stream.handle, p);
  } else {
    const auto kernel = rows_aligned(p.k, p.a, p.b) ? row_times_transposed_kernel<true, In, Out>
                                                    : row_times_transposed_kernel<false, In, Out>;
    hipLaunchKernelGGL(kernel, dim3(ceil_div(p.n, kRowThreads / kTeam)), block, 0, stream.handle, p);
  }
  HIP_CHECK_LAUNCH("row_times_matrix");
  return false;
}

// ---- Any product ----------------------------------------------------------------------------------------

/// A number of parts for k, and its cost: the estimated time, relative to a product of large tiles that loads
/// all compute units equally.
struct Plan {
  double cost;
  int parts;
};

/// The number of parts, for tiles of one shape, with the lowest cost(tiles and parts together, parts).
template <typename Shape, typename In, typename Out, typename Cost>
Plan cheapest(const Stream& stream, const Product<In, Out>& p, const Cost& cost) {
  constexpr const ProductTuning& kHere = kTuning.product;
  const int tiles = ceil_div(p.m, Shape::kM) * ceil_div(p.n, Shape::kN);
  const int64_t fit = stream.scratch_floats / (static_cast<int64_t>(p.m) * p.part_pitch());
  const int64_t most =
      std::max<int64_t>(1, std::min<int64_t>({kHere.most_parts, fit, p.k / kHere.shortest_part}));
  Plan best{1e300, 1};
  for (int parts = 1; parts <= most; ++parts) {
    const double of_parts = cost(static_cast<double>(tiles) * parts, parts);
    if (of_parts < best.cost) best = {of_parts, parts};
  }
  return best;
}

/// The best number of parts for one tile shape. `speed` is its speed on a full GPU, relative to large tiles.
template <typename Shape, typename In, typename Out>
Plan plan_parts(const Stream& stream, const Product<In, Out>& p, double speed) {
  constexpr const ProductTuning& kHere = kTuning.product;
  return cheapest<Shape>(stream, p, [&](double tiles, int parts) {
    const double share = tiles / stream.compute_units;
    return std::max(std::ceil(share), kHere.alone) / share / speed +
           (parts > 1 ? kHere.summing * parts / p.k : 0.0);
  });
}

/// The same for the tiles of matmul_sm90.h, of which a compute unit multiplies one at a time. The cost is the
/// estimated time, in indices of k of a large tile.
template <typename Shape, typename Out>
Plan plan_sm90(const Stream& stream, const Product<bf16, Out>& p, double speed) {
  constexpr const ProductTuning& kHere = kTuning.product;
  constexpr double kArea = static_cast<double>(Shape::kM * Shape::kN) / (Sm90Large::kM * Sm90Large::kN);
  return cheapest<Shape>(stream, p, [&](double tiles, int parts) {
    const double rounds = std::ceil(tiles / stream.compute_units);
    const double k = static_cast<double>(p.k) / parts;
    // A tile is stored while the next one is multiplied, but for the last.
    const double multiplying = (rounds * std::max(k / speed, kHere.sm90_store) + kHere.sm90_store) * kArea;
    // The parts are written and read again at the speed of memory.
    return multiplying + (parts > 1 ? kHere.sm90_summing * parts * p.m * p.n / 1e6 : 0.0);
  });
}

/// Like all that follow, returns whether p.column_sums has been done.
template <typename Shape, typename In, typename Out>
bool launch_planned(const Stream& stream, Product<In, Out> p, Op op_a, Op op_b, int parts) {
  p.part_k = ceil_div(ceil_div(p.k, parts), Shape::kStep) * Shape::kStep;
  const int used = ceil_div(p.k, p.part_k);
  if constexpr (kIsSm90<Shape>) {
    if (used > 1 || !sums_fit_sm90(stream, p)) p.column_sums = nullptr;
  } else {
    p.column_sums = nullptr;
  }
  if (used == 1) {
    launch_shape<Shape>(stream, p, op_a, op_b);
    return p.column_sums != nullptr;
  }
  p.parts = stream.scratch;
  Product<In, Out> part = p;
  part.epilogue = {};  // sum_parts_kernel applies the epilogue to the sum
  launch_shape<Shape>(stream, part, op_a, op_b);
  const int64_t packs = static_cast<int64_t>(p.m) * ceil_div(p.n, kVecSize<Out>);
  hipLaunchKernelGGL((sum_parts_kernel<In, Out>),
                     dim3(static_cast<unsigned>((packs + kPartThreads - 1) / kPartThreads)),
                     dim3(kPartThreads), 0, stream.handle, p, used);
  HIP_CHECK_LAUNCH("sum_parts_kernel");
  return false;
}

bool launch_product(const Stream& stream, const Product<float, float>& p, Op op_a, Op op_b) {
  if (p.m == 1 && op_a == Op::kNone) return launch_row(stream, p, op_b);
  const Plan large = plan_parts<Large>(stream, p, 1.0),
             medium = plan_parts<Medium>(stream, p, kTuning.product.medium_speed),
             small = plan_parts<Small>(stream, p, kTuning.product.small_speed);
  if (large.cost <= medium.cost && large.cost <= small.cost)
    return launch_planned<Large>(stream, p, op_a, op_b, large.parts);
  if (medium.cost <= small.cost) return launch_planned<Medium>(stream, p, op_a, op_b, medium.parts);
  return launch_planned<Small>(stream, p, op_a, op_b, small.parts);
}

template <typename Out>
bool launch_product(const Stream& stream, const Product<bf16, Out>& p, Op op_a, Op op_b) {
  if (p.m == 1 && op_a == Op::kNone) return launch_row(stream, p, op_b);
  const double multiplications = static_cast<double>(p.m) * p.n * p.k;
  if (stream.wgmma && fits_sm90(p) && multiplications >= kTuning.product.sm90_smallest) {
    const Plan wide = plan_sm90<Sm90Large>(stream, p, 1.0),
               narrow = plan_sm90<Sm90Small>(stream, p, kTuning.product.sm90_small_speed);
    if (wide.cost <= narrow.cost) return launch_planned<Sm90Large>(stream, p, op_a, op_b, wide.parts);
    return launch_planned<Sm90Small>(stream, p, op_a, op_b, narrow.parts);
  }
  const bool common = operands_aligned(p) && (std::is_same_v<Out, bf16> || op_a == Op::kTranspose);
  const Plan large = plan_parts<Bf16Large>(stream, p, 1.0),
             small = plan_parts<Bf16Small>(stream, p, kTuning.product.bf16_small_speed);
  if (common && large.cost <= small.cost)
    return launch_planned<Bf16Large>(stream, p, op_a, op_b, large.parts);
  return launch_planned<Bf16Small>(stream, p, op_a, op_b, small.parts);
}

/// The product C [m,n] = op(A) op(B) with its epilogue, over k indices.
template <typename In, typename Out>
Product<In, Out> make_product(const Tensor& c, const Tensor& a, const Tensor& b, int k,
                              const Epilogue<Out>& epilogue) {
  const int ldc = static_cast<int>(c.pitch());
  Product<In, Out> p = {.c = elements<Out>(c),
                        .a = elements<In>(a),
                        .b = elements<In>(b),
                        .lda = static_cast<int>(a.pitch()),
                        .ldb = static_cast<int>(b.pitch()),
                        .ldc = ldc,
                        .m = static_cast<int>(c.dim(0)),
                        .n = static_cast<int>(c.dim(1)),
                        .k = k,
                        .part_k = k,
                        .aligned_c = all_aligned(epilogue.bias) &&
                                     rows_aligned(ldc, elements<Out>(c), epilogue.slope, epilogue.factor)};
  p.epilogue = epilogue;
  return p;
}

/// dW += x^T dy, in the layout of W, and db += sum_rows dy. The gradients are fp32.
template <typename T>
void weight_gradients(const Stream& stream, const Linear& gradients, const Tensor& dy, const Tensor& x) {
  Epilogue<float> epilogue;
  epilogue.accumulate = true;
  const bool in_out = gradients.layout == Layout::kInOut;
  launch_product(stream,
                 make_product<T, float>(gradients.weight, in_out ? x : dy, in_out ? dy : x,
                                        static_cast<int>(x.dim(0)), epilogue),
                 Op::kTranspose, Op::kNone);
  if (gradients.bias) add_column_sums(stream, gradients.bias, dy);
}

template <typename In, typename Out>
void linear_of(const Stream& stream, Tensor y, Tensor x, const Linear& layer, Activation act, Tensor slope) {
  Epilogue<Out> epilogue;
  epilogue.bias = elements<float>(layer.bias);
  epilogue.act = act;
  epilogue.slope = elements<Out>(slope);
  launch_product(stream, make_product<In, Out>(y, x, layer.weight, static_cast<int>(x.dim(1)), epilogue),
                 Op::kNone, layer.layout == Layout::kInOut ? Op::kNone : Op::kTranspose);
}

template <typename T>
void linear_backward_of(const Stream& stream, Tensor dx, const Linear& gradients, Tensor dy, Tensor x,
                        const Linear& layer, Tensor slope, Tensor dx_sums) {
  // The gradients of weights and of inputs are independent, so they run on two streams.
  const Stream& side = stream.side != nullptr ? *stream.side : stream;
  if (stream.side != nullptr) {
    HIP_CHECK(hipEventRecord(stream.forked, stream.handle));
    HIP_CHECK(hipStreamWaitEvent(side.handle, stream.forked, 0));
  }
  weight_gradients<T>(side, gradients, dy, x);
  if (stream.side != nullptr) HIP_CHECK(hipEventRecord(stream.joined, side.handle));
  Epilogue<T> epilogue;
  epilogue.factor = elements<T>(slope);
  auto product = make_product<T, T>(dx, dy, layer.weight, static_cast<int>(dy.dim(1)), epilogue);
  if (dx_sums) product.column_sums = dx_sums.f32();
  const bool summed =
      launch_product(stream, product, Op::kNone, layer.layout == Layout::kInOut ? Op::kTranspose : Op::kNone);
  if (dx_sums && !summed) add_column_sums(stream, dx_sums, dx);
  if (stream.side != nullptr) HIP_CHECK(hipStreamWaitEvent(stream.handle, stream.joined, 0));
}

/// rounded[j,k] = scale * value of row j of an int8 weight.
__global__ __launch_bounds__(kPartThreads) void widen_kernel(bf16* rounded, const Int8Group* groups, int in) {
  constexpr int kGroup = Int8Group::kSize;
  const Int8Group* const row = groups + static_cast<int64_t>(blockIdx.x) * ((in + kGroup - 1) / kGroup);
  for (int k = threadIdx.x; k < in; k += kPartThreads)
    rounded[static_cast<int64_t>(blockIdx.x) * in + k] =
        to_bf16(row[k / kGroup].scale * static_cast<float>(row[k / kGroup].values[k % kGroup]));
}

/// linear() with a weight in int8, for many rows: some columns of y at a time, whose weights are widened in half of the
/// scratch memory.
void linear_of_int8(const Stream& stream, Tensor y, Tensor x, const Linear& layer, Activation act,
                    Tensor slope) {
  const int64_t out = layer.weight.dim(0), in = layer.weight.dim(1);
  const int64_t half = stream.scratch_floats / 128 * 64;  // floats; aligned as all tensors are
  const int64_t at_once = 2 * half / in / 64 * 64;
  if (at_once == 0) throw Error("linear: too little scratch memory for an int8 weight this wide");
  Stream rest = stream;
  rest.scratch += half;
  rest.scratch_floats -= half;
  const auto columns = [](const Tensor& t, int64_t first, int64_t count) {
    if (!t) return t;
    auto* const data = static_cast<std::byte*>(t.data()) + dtype_bytes(t.dtype(), first);
    return Tensor(data, {t.dim(0), count}, t.dtype()).with_pitch(t.pitch());
  };
  for (int64_t first = 0; first < out; first += at_once) {
    const int64_t count = std::min(at_once, out - first);
    const Tensor wide(stream.scratch, {count, in}, DType::kBF16);
    hipLaunchKernelGGL(widen_kernel, dim3(static_cast<unsigned>(count)), dim3(kPartThreads), 0, stream.handle,
                       elements<bf16>(wide), layer.weight.rows(first, count).int8(), static_cast<int>(in));
    HIP_CHECK_LAUNCH("widen_kernel");
    const Linear part = {wide, layer.bias ? layer.bias.rows(first, count) : Tensor(), Layout::kOutIn};
    linear(rest, columns(y, first, count), x, part, act, columns(slope, first, count));
  }
}

}  // namespace

void linear(const Stream& stream, Tensor y, Tensor x, const Linear& layer, Activation act, Tensor slope) {
  check::linear(y, x, layer, act, slope);
  if (layer.weight.dtype() == DType::kInt8) return linear_of_int8(stream, y, x, layer, act, slope);
  if (x.dtype() == DType::kF32) return linear_of<float, float>(stream, y, x, layer, act, slope);
  if (y.dtype() == DType::kF32) return linear_of<bf16, float>(stream, y, x, layer, act, slope);
  linear_of<bf16, bf16>(stream, y, x, layer, act, slope);
}

void linear_backward(const Stream& stream, Tensor dx, const Linear& gradients, Tensor dy, Tensor x,
                     const Linear& layer, Tensor slope, Tensor dx_sums) {
  check::linear_backward(dx, gradients, dy, x, layer, slope, dx_sums);
  if (x.dtype() == DType::kBF16)
    return linear_backward_of<bf16>(stream, dx, gradients, dy, x, layer, slope, dx_sums);
  linear_backward_of<float>(stream, dx, gradients, dy, x, layer, slope, dx_sums);
}

}  // namespace hipgpt::hip
