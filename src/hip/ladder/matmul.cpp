// The product C = A B in six rungs. A [m,k], B [k,n], C [m,n]. All do the same 2 m n k operations. They
// differ in how often they read what they multiply:
//
// | rung | values read from memory per multiply-add | from shared memory |
// |---|---|---|
// | 1 naive, 2 coalesced        | 2     | 0    |
// | 3 a tile in shared memory   | 1/16  | 2    |
// | 4 a tile in registers       | 1/64  | 1/4  |
// | 5 16-byte loads             | 1/64  | 1/4, in a quarter of the instructions |
// | 6 double buffer             | 1/64  | 1/4, while the next tile is on its way |
//
// The seventh rung is the library's kernel, src/hip/matmul_tile.h, with matrix cores where the GPU has them.
#include "hip/ladder/ladder.h"
#include "hip/vec.h"

namespace hipgpt::hip::ladder {

namespace {

// ---- 1. Naive: a thread computes one element ------------------------------------------------------------

/// Neighbouring lanes compute neighbouring rows, so each lane reads its own row of A and writes its own row
/// of C.
__global__ void naive_kernel(float* c, const float* a, const float* b, int n, int k) {
  const int row = blockIdx.y * 32 + threadIdx.x, column = blockIdx.x * 8 + threadIdx.y;
  float sum = 0.0f;
  for (int p = 0; p < k; ++p) sum += a[row * k + p] * b[p * n + column];
  c[row * n + column] = sum;
}

// ---- 2. Coalesced: neighbouring lanes compute neighbouring columns --------------------------------------

__global__ void coalesced_kernel(float* c, const float* a, const float* b, int n, int k) {
  const int row = blockIdx.y * 8 + threadIdx.y, column = blockIdx.x * 32 + threadIdx.x;
  float sum = 0.0f;
  for (int p = 0; p < k; ++p) sum += a[row * k + p] * b[p * n + column];
  c[row * n + column] = sum;
}

// ---- 3. A tile in shared memory: a value read from memory serves 32 multiply-adds ------------------------

__global__ void __launch_bounds__(1024)
    shared_kernel(float* c, const float* a, const float* b, int n, int k) {
  HIPGPT_SHARED(float, tile_a, [32][32]);
  HIPGPT_SHARED(float, tile_b, [32][32]);
  const int ty = threadIdx.y, tx = threadIdx.x, row = blockIdx.y * 32 + ty, column = blockIdx.x * 32 + tx;
  float sum = 0.0f;
  for (int first = 0; first < k; first += 32) {
    tile_a[ty][tx] = a[row * k + first + tx];
    tile_b[ty][tx] = b[(first + ty) * n + column];
    __syncthreads();
    for (int p = 0; p < 32; ++p) sum += tile_a[ty][p] * tile_b[p][tx];
    __syncthreads();  // all have read these tiles
  }
  c[row * n + column] = sum;
}

// ---- 4. A tile in registers: 16 values read from shared memory serve 64 multiply-adds --------------------

constexpr int kTile = 128, kStep = 16, kThreads = 256;  // of rungs 4 to 6: a thread has 8 x 8 sums

/// A thread has the rows ty, ty + 16 ... and the columns tx, tx + 16 ... of the tile.
__global__ void __launch_bounds__(kThreads)
    registers_kernel(float* c, const float* a, const float* b, int n, int k) {
  HIPGPT_SHARED(float, tile_a, [kTile][kStep + 1]);  // + 1: rows ty and ty + 1 are in different banks
  HIPGPT_SHARED(float, tile_b, [kStep][kTile]);
  const int t = threadIdx.x, ty = t / 16, tx = t % 16, row = blockIdx.y * kTile, column = blockIdx.x * kTile;
  float sums[8][8] = {};
  for (int first = 0; first < k; first += kStep) {
    for (int i = t; i < kTile * kStep; i += kThreads) {
      tile_a[i / kStep][i % kStep] = a[(row + i / kStep) * k + first + i % kStep];
      tile_b[i / kTile][i % kTile] = b[(first + i / kTile) * n + column + i % kTile];
    }
    __syncthreads();
    for (int p = 0; p < kStep; ++p) {
      float x[8], y[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] = tile_a[ty + 16 * i][p];
#pragma unroll
      for (int j = 0; j < 8; ++j) y[j] = tile_b[p][tx + 16 * j];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
#pragma unroll
        for (int j = 0; j < 8; ++j) sums[i][j] += x[i] * y[j];
      }
    }
    __syncthreads();  // all have read these tiles
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int j = 0; j < 8; ++j) c[(row + ty + 16 * i) * n + column + tx + 16 * j] = sums[i][j];
  }
}

// ---- 5. 16-byte loads: the same traffic in a quarter of the instructions ---------------------------------

/// The 8 x 8 sums of a thread of rungs 5 and 6: rows 4 ty ... + 3 of both halves of the tile, and columns
/// 4 tx ... + 3 of both.
struct Sums {
  vec4 values[2][4][2] = {};
  int ty, tx;

  __device__ Sums() : ty(threadIdx.x / 16 * 4), tx(threadIdx.x % 16 * 4) {}

  /// Adds the products of one step along k. A is transposed, so four of its rows are neighbours too.
  __device__ void multiply(const float (&tile_a)[kStep][kTile + 4], const float (&tile_b)[kStep][kTile]) {
#pragma unroll 4
    for (int p = 0; p < kStep; ++p) {
      const vec4 x[2] = {load_whole(&tile_a[p][ty]), load_whole(&tile_a[p][64 + ty])};
      const vec4 y[2] = {load_whole(&tile_b[p][tx]), load_whole(&tile_b[p][64 + tx])};
#pragma unroll
      for (int i = 0; i < 16; ++i) add_scaled(values[i / 8][i / 2 % 4][i % 2], x[i / 8][i / 2 % 4], y[i % 2]);
    }
  }

  __device__ void store(float* c, int row, int column, int n) const {
#pragma unroll
    for (int i = 0; i < 16; ++i)
      store_whole(c + (row + i / 8 * 64 + ty + i / 2 % 4) * n + column + i % 2 * 64 + tx,
                  values[i / 8][i / 2 % 4][i % 2]);
  }
};

/// Two vec4 of each tile: what a thread brings from memory in one step.
struct Loads {
  vec4 a[2], b[2];

  __device__ void load(const float* from_a, const float* from_b, int n, int k) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int t = threadIdx.x + i * kThreads;
      a[i] = load_whole(from_a + t / 4 * k + t % 4 * 4);
      b[i] = load_whole(from_b + t / 32 * n + t % 32 * 4);
    }
  }

  __device__ void store(float (&tile_a)[kStep][kTile + 4], float (&tile_b)[kStep][kTile]) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int t = threadIdx.x + i * kThreads;
#pragma unroll
      for (int e = 0; e < 4; ++e) tile_a[t % 4 * 4 + e][t / 4] = a[i][e];
      store_whole(&tile_b[t / 32][t % 32 * 4], b[i]);
    }
  }
};

__global__ void __launch_bounds__(kThreads)
    vec4_kernel(float* c, const float* a, const float* b, int n, int k) {
  HIPGPT_SHARED(float, tile_a, [kStep][kTile + 4]);
  HIPGPT_SHARED(float, tile_b, [kStep][kTile]);
  const int row = blockIdx.y * kTile, column = blockIdx.x * kTile;
  Sums sums;
  Loads loads;
  for (int first = 0; first < k; first += kStep) {
    loads.load(a + row * k + first, b + first * n + column, n, k);
    loads.store(tile_a, tile_b);
    __syncthreads();
    sums.multiply(tile_a, tile_b);
    __syncthreads();  // all have read these tiles
  }
  sums.store(c, row, column, n);
}

// ---- 6. Double buffer: the next tiles arrive while these are multiplied ----------------------------------

__global__ void __launch_bounds__(kThreads)
    double_buffer_kernel(float* c, const float* a, const float* b, int n, int k) {
  HIPGPT_SHARED(float, tile_a, [2][kStep][kTile + 4]);
  HIPGPT_SHARED(float, tile_b, [2][kStep][kTile]);
  const int row = blockIdx.y * kTile, column = blockIdx.x * kTile;
  Sums sums;
  Loads loads;
  loads.load(a + row * k, b + column, n, k);
  loads.store(tile_a[0], tile_b[0]);
  __syncthreads();
  int current = 0;
  for (int next = kStep; next < k; next += kStep) {
    loads.load(a + row * k + next, b + next * n + column, n, k);  // into registers; nobody waits for them yet
    sums.multiply(tile_a[current], tile_b[current]);
    current ^= 1;
    loads.store(tile_a[current], tile_b[current]);  // the other tiles, which all have read a step ago
    __syncthreads();
  }
  sums.multiply(tile_a[current], tile_b[current]);
  sums.store(c, row, column, n);
}

// ---- Launches --------------------------------------------------------------------------------------------

/// A block has kRows x kColumns elements of C.
template <auto kKernel, int kRows, int kColumns, int kBlockX, int kBlockY = 1>
void tiles_of(float* c, const float* a, const float* b, int m, int n, int k) {
  hipLaunchKernelGGL(kKernel, dim3(n / kColumns, m / kRows), dim3(kBlockX, kBlockY), 0, 0, c, a, b, n, k);
}

constexpr MatmulRung kRungs[] = {{"naive", tiles_of<naive_kernel, 32, 8, 32, 8>},
                                 {"coalesced", tiles_of<coalesced_kernel, 8, 32, 32, 8>},
                                 {"a tile in shared memory", tiles_of<shared_kernel, 32, 32, 32, 32>},
                                 {"a tile in registers", tiles_of<registers_kernel, kTile, kTile, kThreads>},
                                 {"16-byte loads", tiles_of<vec4_kernel, kTile, kTile, kThreads>},
                                 {"double buffer", tiles_of<double_buffer_kernel, kTile, kTile, kThreads>}};

}  // namespace

std::span<const MatmulRung> matmul_rungs() {
  return kRungs;
}

}  // namespace hipgpt::hip::ladder
