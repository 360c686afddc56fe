// Matrix products in fp32: 2 m n k operations on 4 (mk + kn + mn) bytes, bound by arithmetic.
//
// Three tile shapes (matmul_tile.h): 128 x 64 for large products, by matrix cores where there are any, else
// with 8 x 8 elements a thread, which do 64 multiplications for 16 values read from shared memory; 64 x 64;
// and 32 x 32 with a long step along k, for the products of small models, which are bound by latency. Where C
// has too few tiles to keep the GPU busy but k is long, as in dW = x^T dy, k is cut into parts that are
// summed in order by a second kernel. A single row (generation) is a matrix-vector product, bound by reading
// W once.
//
// Measured on an H200, at the shapes of GPT-2 and nanoGPT: 43 to 56 TFLOP/s, of which a third of the matrix
// cores' tf32 rate of 495 would allow 165; 1.11 times cuBLAS in fp32 (tests/bench). Without matrix cores 34
// to 40, of a peak of 67. A row times GPT-2's head, 50257 x 768: 38 us, 4.0 of 4.3 TB/s.
#include <algorithm>
#include <cmath>

#include "device/check.h"
#include "hip/activation.h"
#include "hip/check.h"
#include "hip/matmul_tile.h"
#include "hip/reduce.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

/// Whether a matrix is read transposed.
enum class Op : uint8_t { kNone, kTranspose };

int ceil_div(int a, int b) {
  return (a + b - 1) / b;
}

/// Neighbours in a row that are loaded and stored together.
template <int kCount>
struct alignas(kCount * sizeof(float)) Pack {
  float values[kCount];
};

/// What is done with a sum s before it becomes C[i,j]: bias, activation or the slope of one, accumulation.
struct Epilogue {
  const float* bias = nullptr;      // [n]
  float* pre = nullptr;             // [m,n] receives s + bias
  const float* slope_at = nullptr;  // [m,n]: s is multiplied by act'(slope_at)
  Activation act = Activation::kNone;
  bool accumulate = false;

  /// For kCount neighbours; several only where everything is aligned to their size.
  template <int kCount>
  __device__ void store(float* c, int64_t index, int column, Pack<kCount> s) const {
    if (bias != nullptr) s = map(s, load<kCount>(bias + column), Add());
    if (pre != nullptr) put(pre + index, s);
    if (slope_at != nullptr) {
      s = map(s, load<kCount>(slope_at + index),
              [this](float a, float z) { return a * activation_slope(act, z); });
    } else {
      s = map(s, s, [this](float a, float) { return activate(act, a); });
    }
    if (accumulate) s = map(load<kCount>(c + index), s, Add());
    put(c + index, s);
  }

 private:
  template <int kCount, typename F>
  __device__ static Pack<kCount> map(Pack<kCount> a, Pack<kCount> b, F f) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) a.values[i] = f(a.values[i], b.values[i]);
    return a;
  }
  template <int kCount>
  __device__ static Pack<kCount> load(const float* from) {
    return *reinterpret_cast<const Pack<kCount>*>(from);
  }
  template <int kCount>
  __device__ static void put(float* to, Pack<kCount> pack) {
    *reinterpret_cast<Pack<kCount>*>(to) = pack;
  }
};

/// A whole product, as a kernel takes it. Block (x, y) computes tile x (columns fastest, so that the tiles
/// that run together share rows of A) over part y of k; with several parts it stores to parts [y,m,n]
/// instead.
struct Product {
  float* c;
  const float *a, *b;
  int m, n, k;
  int part_k;    // length of a part
  float* parts;  // null: k is in one part
  Epilogue epilogue;
  bool vector_c;  // rows of C, and of what the epilogue reads, begin at multiples of 16 bytes
};

/// What a thread has computed of a tile, to C or to its part.
template <typename Shape>
__device__ __forceinline__ void store_tile(const Product& p, const Sums<Shape>& sums, int m0, int n0) {
  constexpr int kPiece = Sums<Shape>::kPiece;
  float* c = p.parts != nullptr ? p.parts + static_cast<int64_t>(blockIdx.y) * p.m * p.n : p.c;
  sums.for_each_piece([&](int tile_row, int tile_column, const float* values) {
    const int row = m0 + tile_row, column = n0 + tile_column;
    if (row >= p.m || column >= p.n) return;
    const int64_t index = static_cast<int64_t>(row) * p.n + column;
    if (p.vector_c) {
      Pack<kPiece> pack;
#pragma unroll
      for (int e = 0; e < kPiece; ++e) pack.values[e] = values[e];
      p.epilogue.store(c, index, column, pack);
    } else {
#pragma unroll
      for (int e = 0; e < kPiece; ++e) {
        if (column + e < p.n) p.epilogue.store(c, index + e, column + e, Pack<1>{{values[e]}});
      }
    }
  });
}

template <typename Shape, bool kTransA, bool kTransB, bool kVector>
__global__ HIPGPT_LAUNCH_BOUNDS(Shape::kThreads,
                                Shape::kThreads == 128 ? 3 : 2) void matmul_kernel(Product p) {
  const int across = (p.n + Shape::kN - 1) / Shape::kN;
  const int tile_m = static_cast<int>(blockIdx.x) / across, tile_n = static_cast<int>(blockIdx.x) % across;
  const int m0 = tile_m * Shape::kM, n0 = tile_n * Shape::kN;
  const int k_begin = static_cast<int>(blockIdx.y) * p.part_k;
  const int k_end = k_begin + p.part_k < p.k ? k_begin + p.part_k : p.k;
  Sums<Shape> sums;
  multiply_tile<Shape, kTransA, kTransB, kVector>(sums, p.a, p.b, p.m, p.n, p.k, m0, n0, k_begin, k_end);

  store_tile<Shape>(p, sums, m0, n0);
}

constexpr int kPartThreads = 256;

/// C from the parts, in their order.
__global__ __launch_bounds__(kPartThreads) void sum_parts_kernel(Product p, int count) {
  const int64_t size = static_cast<int64_t>(p.m) * p.n;
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kPartThreads + threadIdx.x;
  if (index >= size) return;
  float total = 0.0f;
#pragma unroll 4
  for (int part = 0; part < count; ++part) total += p.parts[part * size + index];
  p.epilogue.store(p.c, index, static_cast<int>(index % p.n), Pack<1>{{total}});
}

using Large = TileShape<128, 64, 16, 8, 8, true>;
using Medium = TileShape<64, 64, 16, 4, 4, false>;
using Small = TileShape<32, 32, 32, 2, 2, false>;

template <typename Shape, bool kTransA, bool kTransB, bool kVector>
void launch_tiles(const Queue& queue, const Product& p) {
  const int tiles = ceil_div(p.m, Shape::kM) * ceil_div(p.n, Shape::kN), parts = ceil_div(p.k, p.part_k);
  hipLaunchKernelGGL((matmul_kernel<Shape, kTransA, kTransB, kVector>), dim3(tiles, parts),
                     dim3(Shape::kThreads), 0, queue.stream, p);
  HIP_CHECK_LAUNCH("matmul_kernel");
}

template <typename Shape, bool kVector>
void launch_layout(const Queue& queue, const Product& p, Op op_a, Op op_b) {
  if (op_a == Op::kNone) {
    if (op_b == Op::kNone) return launch_tiles<Shape, false, false, kVector>(queue, p);
    return launch_tiles<Shape, false, true, kVector>(queue, p);
  }
  return launch_tiles<Shape, true, false, kVector>(queue, p);
}

bool is_vector(const float* data, int ld) {
  return ld % 4 == 0 && reinterpret_cast<uintptr_t>(data) % 16 == 0;
}

template <typename Shape>
void launch_shape(const Queue& queue, const Product& p, Op op_a, Op op_b) {
  const bool vector =
      is_vector(p.a, op_a == Op::kNone ? p.k : p.m) && is_vector(p.b, op_b == Op::kNone ? p.n : p.k);
  if (vector) return launch_layout<Shape, true>(queue, p, op_a, op_b);
  return launch_layout<Shape, false>(queue, p, op_a, op_b);
}

// ---- One row: y = x W, reading W once -------------------------------------------------------------------

constexpr int kRowThreads = 256, kRowColumns = 32;

/// W [k,n]: a block has 32 columns, its threads share out k, and the sums are added up in shared memory.
template <bool kVector>
__global__ __launch_bounds__(kRowThreads) void row_times_matrix_kernel(Product p) {
  constexpr int kWidth = kVector ? 4 : 1, kLanes = kRowColumns / kWidth, kGroups = kRowThreads / kLanes;
  HIPGPT_SHARED(float, sums, [kGroups][kRowColumns]);
  const int lane = threadIdx.x % kLanes, group = threadIdx.x / kLanes;
  const int first = static_cast<int>(blockIdx.x) * kRowColumns, column = first + lane * kWidth;
  float sum[kWidth] = {};
  if (column < p.n) {
    const float* w = p.b + column;
#pragma unroll 4
    for (int i = group; i < p.k; i += kGroups) {
      const float x = p.a[i];
      const float* row = w + static_cast<int64_t>(i) * p.n;
      if constexpr (kVector) {
        const float4 v = *reinterpret_cast<const float4*>(row);
        sum[0] += x * v.x, sum[1] += x * v.y, sum[2] += x * v.z, sum[3] += x * v.w;
      } else {
        sum[0] += x * row[0];
      }
    }
  }
#pragma unroll
  for (int e = 0; e < kWidth; ++e) sums[group][lane * kWidth + e] = sum[e];
  __syncthreads();
  const int mine = threadIdx.x;
  if (mine >= kRowColumns || first + mine >= p.n) return;
  float total = 0.0f;
#pragma unroll 8
  for (int g = 0; g < kGroups; ++g) total += sums[g][mine];
  p.epilogue.store(p.c, first + mine, first + mine, Pack<1>{{total}});
}

/// W [n,k]: 32 threads for each column of W^T.
template <bool kVector>
__global__ __launch_bounds__(kRowThreads) void row_times_transposed_kernel(Product p) {
  constexpr int kWidth = kVector ? 4 : 1;
  const int lane = threadIdx.x % 32;
  const int column = static_cast<int>(blockIdx.x) * (kRowThreads / 32) + threadIdx.x / 32;
  const float* row = p.b + static_cast<int64_t>(column < p.n ? column : 0) * p.k;
  float sum = 0.0f;
#pragma unroll 4
  for (int i = lane * kWidth; i < p.k; i += 32 * kWidth) {
    if constexpr (kVector) {
      const float4 x = *reinterpret_cast<const float4*>(p.a + i),
                   w = *reinterpret_cast<const float4*>(row + i);
      sum += x.x * w.x + x.y * w.y + x.z * w.z + x.w * w.w;
    } else {
      sum += p.a[i] * row[i];
    }
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor(sum, distance);
  if (lane == 0 && column < p.n) p.epilogue.store(p.c, column, column, Pack<1>{{sum}});
}

void launch_row(const Queue& queue, const Product& p, Op op_b) {
  const bool vector =
      is_vector(p.b, op_b == Op::kNone ? p.n : p.k) && (op_b == Op::kNone || is_vector(p.a, p.k));
  const dim3 block(kRowThreads);
  if (op_b == Op::kNone) {
    const auto kernel = vector ? row_times_matrix_kernel<true> : row_times_matrix_kernel<false>;
    hipLaunchKernelGGL(kernel, dim3(ceil_div(p.n, kRowColumns)), block, 0, queue.stream, p);
  } else {
    const auto kernel = vector ? row_times_transposed_kernel<true> : row_times_transposed_kernel<false>;
    hipLaunchKernelGGL(kernel, dim3(ceil_div(p.n, kRowThreads / 32)), block, 0, queue.stream, p);
  }
  HIP_CHECK_LAUNCH("row_times_matrix");
}

// ---- Any product ----------------------------------------------------------------------------------------

/// A shape and into how many parts k is cut. `cost` estimates the time, in that of a perfectly shared-out
/// product of large tiles.
struct Plan {
  double cost;
  int parts;
};

/// The best number of parts for tiles of one shape, whose speed on a full GPU is `speed` of the largest's.
template <typename Shape>
Plan plan_parts(const Queue& queue, const Product& p, double speed) {
  constexpr double kAlone = 2.2;     // a compute unit with one or two blocks takes as long as with this many
  constexpr double kSumming = 40.0;  // writing and adding up a part takes as long as this many steps of k
  constexpr int64_t kMostParts = 32, kShortest = 128;
  const int tiles = ceil_div(p.m, Shape::kM) * ceil_div(p.n, Shape::kN);
  const int64_t fit = queue.scratch_floats / (static_cast<int64_t>(p.m) * p.n);
  const int64_t most = std::max<int64_t>(1, std::min<int64_t>({kMostParts, fit, p.k / kShortest}));
  Plan best{1e300, 1};
  for (int parts = 1; parts <= most; ++parts) {
    const double share = static_cast<double>(tiles) * parts / queue.compute_units;
    const double cost =
        std::max(std::ceil(share), kAlone) / share / speed + (parts > 1 ? kSumming * parts / p.k : 0.0);
    if (cost < best.cost) best = {cost, parts};
  }
  return best;
}

template <typename Shape>
void launch_planned(const Queue& queue, Product p, Op op_a, Op op_b, int parts) {
  p.part_k = ceil_div(ceil_div(p.k, parts), Shape::kK) * Shape::kK;
  const int used = ceil_div(p.k, p.part_k);
  if (used == 1) return launch_shape<Shape>(queue, p, op_a, op_b);
  p.parts = queue.scratch;
  Product part = p;
  part.epilogue = {};  // what follows the product is done with the sum of its parts
  launch_shape<Shape>(queue, part, op_a, op_b);
  const int64_t size = static_cast<int64_t>(p.m) * p.n;
  hipLaunchKernelGGL(sum_parts_kernel, dim3(static_cast<unsigned>((size + kPartThreads - 1) / kPartThreads)),
                     dim3(kPartThreads), 0, queue.stream, p, used);
  HIP_CHECK_LAUNCH("sum_parts_kernel");
}

void launch_product(const Queue& queue, const Product& p, Op op_a, Op op_b) {
  if (p.m == 1 && op_a == Op::kNone) return launch_row(queue, p, op_b);
  if (op_a == Op::kTranspose && op_b == Op::kTranspose) {
    return launch_tiles<Medium, true, true, false>(queue, p);  // no layer needs it
  }
  const Plan large = plan_parts<Large>(queue, p, 1.0), medium = plan_parts<Medium>(queue, p, 0.7),
             small = plan_parts<Small>(queue, p, 0.35);
  if (large.cost <= medium.cost && large.cost <= small.cost) {
    launch_planned<Large>(queue, p, op_a, op_b, large.parts);
  } else if (medium.cost <= small.cost) {
    launch_planned<Medium>(queue, p, op_a, op_b, medium.parts);
  } else {
    launch_planned<Small>(queue, p, op_a, op_b, small.parts);
  }
}

/// C = op(A) op(B) with what follows it.
Product make_product(float* c, const float* a, const float* b, int m, int n, int k,
                     const Epilogue& epilogue) {
  Product p{c, a, b, m, n, k, k, nullptr, epilogue, true};
  for (const float* data : {static_cast<const float*>(c), epilogue.bias,
                            static_cast<const float*>(epilogue.pre), epilogue.slope_at}) {
    p.vector_c = p.vector_c && is_vector(data, n);
  }
  return p;
}

// ---- Column sums ----------------------------------------------------------------------------------------

constexpr int kSumThreads = 256, kSumColumns = 32, kSumLanes = kSumThreads / kSumColumns;

/// sums[j] (+)= sum of column j over rows [part_rows blockIdx.y, ...): to `sums` itself or to part
/// blockIdx.y.
__global__ __launch_bounds__(kSumThreads) void column_sums_kernel(float* sums, float* parts, const float* x,
                                                                  int rows, int n, int part_rows) {
  HIPGPT_SHARED(float, partial, [kSumLanes][kSumColumns]);
  const int lane = threadIdx.x / kSumColumns, local = threadIdx.x % kSumColumns;
  const int column = static_cast<int>(blockIdx.x) * kSumColumns + local;
  const int first = static_cast<int>(blockIdx.y) * part_rows;
  const int end = first + part_rows < rows ? first + part_rows : rows;
  float sum = 0.0f;
  if (column < n) {
#pragma unroll 8
    for (int i = first + lane; i < end; i += kSumLanes) sum += x[static_cast<int64_t>(i) * n + column];
  }
  partial[lane][local] = sum;
  __syncthreads();
  if (lane != 0 || column >= n) return;
  for (int other = 1; other < kSumLanes; ++other) sum += partial[other][local];
  if (parts != nullptr) {
    parts[static_cast<int64_t>(blockIdx.y) * n + column] = sum;
  } else {
    sums[column] += sum;
  }
}

/// sums[j] += sum of its parts, in their order.
__global__ __launch_bounds__(kSumThreads) void add_parts_kernel(float* sums, const float* parts, int count,
                                                                int n) {
  const int column = static_cast<int>(blockIdx.x) * kSumThreads + threadIdx.x;
  if (column >= n) return;
  float total = 0.0f;
#pragma unroll 8
  for (int part = 0; part < count; ++part) total += parts[static_cast<int64_t>(part) * n + column];
  sums[column] += total;
}

/// db[j] += sum_i dy[i,j].   dy [m,n].
void column_sums(const Queue& queue, float* db, const float* dy, int m, int n) {
  const int parts = static_cast<int>(
      std::max<int64_t>(1, std::min<int64_t>({ceil_div(m, 256), 64, queue.scratch_floats / n})));
  const int part_rows = ceil_div(m, parts);
  float* scratch = parts == 1 ? nullptr : queue.scratch;
  hipLaunchKernelGGL(column_sums_kernel, dim3(ceil_div(n, kSumColumns), parts), dim3(kSumThreads), 0,
                     queue.stream, db, scratch, dy, m, n, part_rows);
  HIP_CHECK_LAUNCH("column_sums_kernel");
  if (parts == 1) return;
  hipLaunchKernelGGL(add_parts_kernel, dim3(ceil_div(n, kSumThreads)), dim3(kSumThreads), 0, queue.stream, db,
                     scratch, parts, n);
  HIP_CHECK_LAUNCH("add_parts_kernel");
}

/// dW += x^T dy, in the layout of W, and db += sum_rows dy.
void weight_gradients(const Queue& queue, const Linear& gradients, const float* dy, const float* x, int rows,
                      int in, int out) {
  Epilogue epilogue;
  epilogue.accumulate = true;
  float* dw = gradients.weight.f32();
  if (gradients.layout == Layout::kInOut) {
    launch_product(queue, make_product(dw, x, dy, in, out, rows, epilogue), Op::kTranspose, Op::kNone);
  } else {
    launch_product(queue, make_product(dw, dy, x, out, in, rows, epilogue), Op::kTranspose, Op::kNone);
  }
  if (gradients.bias) column_sums(queue, gradients.bias.f32(), dy, rows, out);
}

}  // namespace

void linear(const Stream& stream, Tensor y, Tensor x, const Linear& layer, Activation act, Tensor pre) {
  check::linear(y, x, layer, act, pre);
  const int rows = static_cast<int>(x.dim(0)), in = static_cast<int>(x.dim(1)),
            out = static_cast<int>(y.dim(1));
  Epilogue epilogue;
  epilogue.bias = layer.bias.f32();
  epilogue.act = act;
  epilogue.pre = pre.f32();
  launch_product(stream, make_product(y.f32(), x.f32(), layer.weight.f32(), rows, out, in, epilogue),
                 Op::kNone, layer.layout == Layout::kInOut ? Op::kNone : Op::kTranspose);
}

void linear_backward(const Stream& stream, Tensor dx, const Linear& gradients, Tensor dy, Tensor x,
                     const Linear& layer, Activation act, Tensor pre) {
  check::linear_backward(dx, gradients, dy, x, layer, act, pre);
  const int rows = static_cast<int>(x.dim(0)), in = static_cast<int>(x.dim(1)),
            out = static_cast<int>(dy.dim(1));
  // The gradients of weights and of inputs do not need each other: they run side by side.
  const Stream& side = stream.side != nullptr ? *stream.side : stream;
  if (stream.side != nullptr) {
    HIP_CHECK(hipEventRecord(stream.forked, stream.stream));
    HIP_CHECK(hipStreamWaitEvent(side.stream, stream.forked, 0));
  }
  weight_gradients(side, gradients, dy.f32(), x.f32(), rows, in, out);
  if (stream.side != nullptr) HIP_CHECK(hipEventRecord(stream.joined, side.stream));
  Epilogue epilogue;
  epilogue.slope_at = act == Activation::kNone ? nullptr : pre.f32();
  epilogue.act = act;
  launch_product(stream, make_product(dx.f32(), dy.f32(), layer.weight.f32(), rows, in, out, epilogue),
                 Op::kNone, layer.layout == Layout::kInOut ? Op::kTranspose : Op::kNone);
  if (stream.side != nullptr) HIP_CHECK(hipStreamWaitEvent(stream.stream, stream.joined, 0));
}

}  // namespace hipgpt::hip
