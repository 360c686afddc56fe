// Products of bf16 on NVIDIA's Hopper, whose matrix cores read both operands from shared memory.
//
// A block computes tiles of 128 x kN, one after another. One warp copies: it keeps up to kStages steps of 64
// along k on their way. Two warpgroups multiply, 64 rows each. While they store a tile, the copies of the next
// one are under way. A step of 128 x 256 x 64 reads 48 KB from the L2 cache for 4.2 MFLOP, which takes 990
// clocks at the peak of 4096 FLOP a clock, so a compute unit needs 48 bytes a clock from the L2 cache.
#pragma once

#include <algorithm>

#include "hip/launch.h"
#include "hip/matmul_tile.h"
#include "hip/mma/sm90.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

template <int kN_>
struct Sm90Shape {
  static constexpr int kM = 128, kN = kN_, kStep = 64;
  static constexpr int kGroups = 2;  ///< warpgroups that multiply
  static constexpr int kBytesA = kM * kStep * 2, kBytesB = kN * kStep * 2, kStageBytes = kBytesA + kBytesB;
  static constexpr int kStages = 147456 / kStageBytes;
};

#if defined(__CUDACC__)

/// The tile and the part of k of a piece of work. Tiles are numbered in groups of 8 rows of tiles, so that
/// blocks that run together share rows of A and columns of B.
template <typename Shape>
struct Sm90Work {
  int m0, n0, k0, steps, part;

  template <typename Out>
  __device__ Sm90Work(const Product<bf16, Out>& p, int index) {
    constexpr int kGroup = 8;
    const int down = (p.m + Shape::kM - 1) / Shape::kM, across = (p.n + Shape::kN - 1) / Shape::kN;
    const int tile = index % (down * across), group = tile / (kGroup * across) * kGroup;
    const int rows = down - group < kGroup ? down - group : kGroup;
    part = index / (down * across);
    m0 = (group + tile % (kGroup * across) % rows) * Shape::kM;
    n0 = tile % (kGroup * across) / rows * Shape::kN;
    k0 = part * p.part_k;
    const int k_end = k0 + p.part_k < p.k ? k0 + p.part_k : p.k;
    steps = (k_end - k0 + Shape::kStep - 1) / Shape::kStep;
  }
};

/// The stage of a warpgroup, for 64 x 128 sums on their way to memory. With eight more floats in a row, four
/// rows of pairs use all banks.
struct SumsStage {
  static constexpr int kColumns = 128, kPitch = kColumns + 8, kBytes = 64 * kPitch * 4;
  float* memory;

  /// Stores the sums of a warpgroup, 64 rows of C from (m0, n0) on. A lane has two neighbours in each block of
  /// 8 columns, in two rows. All threads of the warpgroup call this; `barrier` is theirs alone.
  template <int kCount, typename Out>
  __device__ __forceinline__ void store(const float (&d)[kCount], const Rows<Out>& c,
                                        const Epilogue<Out>& epilogue, int m0, int n0, int barrier) const {
    constexpr int kPack = kVecSize<Out>, kRowPacks = kColumns / kPack;
    const int thread = threadIdx.x % sm90::kWarpgroup, lane = thread % 32;
    float* own = memory + (thread / 32 * 16 + lane / 4) * kPitch + lane % 4 * 2;
#pragma unroll
    for (int part = 0; part < kCount / 64; ++part) {
      sm90::sync_warpgroup(barrier);  // the previous part has been read
#pragma unroll
      for (int i = 0; i < 64; i += 2) {
        const Vec<float, 2> pair = {d[part * 64 + i], d[part * 64 + i + 1]};
        *reinterpret_cast<Vec<float, 2>*>(own + i / 4 * 8 + i / 2 % 2 * 8 * kPitch) = pair;
      }
      sm90::sync_warpgroup(barrier);
#pragma unroll 2
      for (int i = thread; i < 64 * kRowPacks; i += sm90::kWarpgroup) {
        const int row = i / kRowPacks, column = i % kRowPacks * kPack;
        Vec<float, kPack> sums;
#pragma unroll
        for (int e = 0; e < kPack; e += 4) {
          const vec4 four = load_whole(memory + row * kPitch + column + e);
#pragma unroll
          for (int k = 0; k < 4; ++k) sums[e + k] = four[k];
        }
        epilogue.store(c, m0 + row, n0 + part * kColumns + column, sums);
      }
    }
  }
};

template <typename Shape, bool kTransA, bool kTransB, typename Out>
__global__ void __launch_bounds__(3 * sm90::kWarpgroup, 1)
    matmul_sm90_kernel(const __grid_constant__ CUtensorMap map_a, const __grid_constant__ CUtensorMap map_b,
                       const __grid_constant__ Product<bf16, Out> p) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  using namespace sm90;
  constexpr int kStages = Shape::kStages, kN = Shape::kN;
  HIPGPT_DYNAMIC_SHARED(unsigned char, memory);
  HIPGPT_SHARED(uint64_t, barriers, [2 * kStages]);
  const uint32_t tiles = (shared_address(memory) + 1023) / 1024 * 1024;
  const uint32_t full = shared_address(barriers), empty = full + kStages * 8;
  const int group = static_cast<int>(threadIdx.x) / kWarpgroup;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      init_barrier(full + 8 * i, 1);
      init_barrier(empty + 8 * i, Shape::kGroups);
    }
    fence_barriers();
  }
  __syncthreads();
  const int down = (p.m + Shape::kM - 1) / Shape::kM, across = (p.n + kN - 1) / kN;
  const int count = down * across * ((p.k + p.part_k - 1) / p.part_k);
  int stage = 0, parity = 0;
  const auto advance = [&] {
    stage = stage + 1 == kStages ? 0 : stage + 1;
    parity ^= stage == 0 ? 1 : 0;
  };

  if (group == Shape::kGroups) {
    give_registers<40>();
    if (threadIdx.x != Shape::kGroups * kWarpgroup) return;
    prefetch_map(map_a);
    prefetch_map(map_b);
    for (int index = blockIdx.x; index < count; index += gridDim.x) {
      const Sm90Work<Shape> work(p, index);
      for (int step = 0; step < work.steps; ++step) {
        const int k = work.k0 + step * Shape::kStep;
        const uint32_t a = tiles + stage * Shape::kStageBytes, b = a + Shape::kBytesA,
                       barrier = full + 8 * stage;
        wait(empty + 8 * stage, parity ^ 1);
        arrive_and_expect(barrier, Shape::kStageBytes);
        if constexpr (kTransA) {
          for (int m = 0; m < Shape::kM; m += 64) copy_box(a + m * 128, map_a, work.m0 + m, k, barrier);
        } else {
          copy_box(a, map_a, k, work.m0, barrier);
        }
        if constexpr (kTransB) {
          copy_box(b, map_b, k, work.n0, barrier);
        } else {
          for (int n = 0; n < kN; n += 64) copy_box(b + n * 128, map_b, work.n0 + n, k, barrier);
        }
        advance();
      }
    }
    return;
  }

  take_registers<232>();
  const SumsStage stage_of_sums{reinterpret_cast<float*>(
      memory + (tiles - shared_address(memory)) + kStages * Shape::kStageBytes + group * SumsStage::kBytes)};
  // Bytes from one 16 of k to the next: in a line, or 16 lines on.
  constexpr uint64_t kNextA = (kTransA ? 16 * 128 : 32) >> 4, kNextB = (kTransB ? 32 : 16 * 128) >> 4;
  for (int index = blockIdx.x; index < count; index += gridDim.x) {
    const Sm90Work<Shape> work(p, index);
    float d[kN / 2];
    int previous = 0;
    for (int step = 0; step < work.steps; ++step) {
      wait(full + 8 * stage, parity);
      const uint32_t address = tiles + stage * Shape::kStageBytes;
      const uint64_t a = operand(address + group * 64 * 128), b = operand(address + Shape::kBytesA);
      begin_products();
#pragma unroll
      for (int k = 0; k < Shape::kStep / 16; ++k)
        multiply_async<kTransA, !kTransB>(d, a + k * kNextA, b + k * kNextB, step > 0 || k > 0 ? 1 : 0);
      end_of_products();
      if (step > 0) {
        wait_for_products<1>();
        if (threadIdx.x % kWarpgroup == 0) arrive(empty + 8 * previous);
      }
      previous = stage;
      advance();
    }
    wait_for_products<0>();
    if (threadIdx.x % kWarpgroup == 0) arrive(empty + 8 * previous);
    const int row = work.m0 + group * 64;
    if constexpr (std::is_same_v<Out, float>) {
      stage_of_sums.store(d, p.parts != nullptr ? p.sums_of(work.part) : p.result(), p.epilogue, row, work.n0,
                          1 + group);
    } else if (p.parts != nullptr) {
      stage_of_sums.store(d, p.sums_of(work.part), Epilogue<float>{}, row, work.n0, 1 + group);
    } else {
      stage_of_sums.store(d, p.result(), p.epilogue, row, work.n0, 1 + group);
    }
  }
#endif
}

template <typename Shape, bool kTransA, bool kTransB, typename Out>
void launch_sm90(const Stream& stream, const Product<bf16, Out>& p) {
  const CUtensorMap a = kTransA ? sm90::tensor_map(p.a, p.k, p.m, p.lda, 64)
                                : sm90::tensor_map(p.a, p.m, p.k, p.lda, Shape::kM);
  const CUtensorMap b = kTransB ? sm90::tensor_map(p.b, p.n, p.k, p.ldb, Shape::kN)
                                : sm90::tensor_map(p.b, p.k, p.n, p.ldb, 64);
  // The stages, aligned to 1024 bytes, and a stage of sums for each warpgroup.
  constexpr int kBytes = 1024 + Shape::kStages * Shape::kStageBytes + Shape::kGroups * SumsStage::kBytes;
  const int tiles = (p.m + Shape::kM - 1) / Shape::kM * ((p.n + Shape::kN - 1) / Shape::kN);
  const int work = tiles * ((p.k + p.part_k - 1) / p.part_k);
  launch_with_shared(matmul_sm90_kernel<Shape, kTransA, kTransB, Out>,
                     dim3(std::min(work, stream.compute_units)), dim3(3 * sm90::kWarpgroup), kBytes,
                     stream.handle, a, b, p);
}

#else

template <typename Shape, bool kTransA, bool kTransB, typename Out>
void launch_sm90(const Stream&, const Product<bf16, Out>&) {}

#endif

}  // namespace hipgpt::hip
