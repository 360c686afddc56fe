// Softmax cross-entropy, and its gradient in place. The costs per element are, with half of the bytes in
// bf16:
//   cross_entropy                4 bytes and one exp; one pass with a running maximum and sum
//   cross_entropy_with_gradient  8 bytes and two exps: reads z, writes its gradient. The second pass reads
//                                the row from the cache, last element first, because the cache holds what
//                                was read last. A row of bf16 stays in registers between the passes
// Both are memory-bound: the minimum time is these bytes divided by the bandwidth.
//
// With up to 512 logits, a row stays in the registers of a team of 32 lanes, and a block has 8 teams. With up
// to 16384 logits, a block of 256 threads takes a row, and beyond that a block of 1024. Without a pitch, a
// row of GPT-2's 50257 logits starts at any element. So a block reads the aligned packs that cover its row;
// parts of the first and last packs may belong to neighbouring rows. Aligned rows of bf16 with up to 51200
// logits stay in the registers of 256 threads between the two passes of the gradient.
//
// Measured on an H200 (4.3 TB/s by copying), 8192 x 50257 in fp32: 94 % of this bandwidth without the gradient
// and 63 % with it, since the second pass does not find all of a row in the cache. With the gradient in bf16, by
// tests/bench/operations_bench: 3.7 TB/s, 111 us for 2048 x 50257.
#include <cfloat>
#include <type_traits>

#include "device/check.h"
#include "hip/bf16.h"
#include "hip/check.h"
#include "hip/fast_math.h"
#include "hip/fault.h"
#include "hip/reduce.h"
#include "hip_kernels.h"

namespace hipgpt::hip {

namespace {

constexpr int kTeamBlock = 256, kHeldBlock = 256;

// ---- A row in the registers of a team -------------------------------------------------------------------

/// The target of a row. Reports a target outside the vocabulary and returns 0 instead.
__device__ int target_of(const int32_t* targets, int row, int vocab, FaultReport report) {
  const int32_t target = targets[row];
  if (target >= 0 && target < vocab) return target;
  report();
  return 0;
}

template <int kPerThread, bool kGradient, typename T>
__global__ void __launch_bounds__(kTeamBlock)
    small_rows_kernel(float* losses, T* logits, const int32_t* targets, float scale, int rows, int vocab,
                      int pitch, FaultReport report) {
  const int lane = threadIdx.x % kTeam, row = blockIdx.x * (kTeamBlock / kTeam) + threadIdx.x / kTeam;
  const int n = row < rows ? vocab : 0;  // 0 for a team without a row
  const int target = row < rows ? target_of(targets, row, vocab, report) : 0;
  T* z = logits + static_cast<int64_t>(row) * pitch;
  float v[kPerThread];
  float top = -FLT_MAX;  // finite, because -inf - -inf would be NaN
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int j = i * kTeam + lane;
    v[i] = j < n ? to_float(z[j]) : -INFINITY;
    top = v[i] > top ? v[i] : top;  // skips NaN, which reappears in the sum
  }
  top = reduce_lanes<kTeam>(top, Max());
  float total = 0.0f, wanted = 0.0f;
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    if (i * kTeam + lane == target) wanted = v[i];
    v[i] = expf(v[i] - top);
    total += v[i];
  }
  total = reduce_lanes<kTeam>(total, Add());
  if (row < rows && lane == target % kTeam) losses[row] = logf(total) + (top - wanted);
  if constexpr (kGradient) {
    const float factor = scale / total;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int j = i * kTeam + lane;
      if (j < n) z[j] = from_float<T>(v[i] * factor - (j == target ? scale : 0.0f));
    }
  }
}

// ---- A row per block ------------------------------------------------------------------------------------

/// The aligned packs that cover a row. Pack q starts at column kPack q - skip.
template <typename T>
struct Packs {
  static constexpr int kPack = kVecSize<T>;
  using Floats = Vec<float, kPack>;
  T* row;
  int width, skip, count;

  __device__ Packs(T* row, int width)
      : row(row),
        width(width),
        skip(static_cast<int>(reinterpret_cast<uintptr_t>(row) / sizeof(T) % kPack)),
        count((skip + width + kPack - 1) / kPack) {}

  __device__ int column(int q) const { return kPack * q - skip; }
  __device__ bool whole(int q) const { return column(q) >= 0 && column(q) + kPack <= width; }

  /// Elements outside the row are -infinity.
  __device__ Vec<T, kPack> load_stored(int q) const {
    const int j = column(q);
    return whole(q) ? load_whole(row + j) : load_part(row + j, -j, width - j, from_float<T>(-INFINITY));
  }
  __device__ Floats load(int q) const { return to_floats(load_stored(q)); }

  __device__ void store(int q, Floats v) const {
    const int j = column(q);
    if (whole(q)) {
      store_whole(row + j, from_floats<T>(v));
    } else {
      store_part(row + j, -j, width - j, from_floats<T>(v));
    }
  }
};

struct Softmax {
  float top, total;  // max z and sum e^(z - top)
};

template <int kPack>
__device__ float largest_of(Vec<float, kPack> v) {
  float largest = fmaxf(fmaxf(v[0], v[1]), fmaxf(v[2], v[3]));
#pragma unroll
  for (int e = 4; e < kPack; ++e) largest = fmaxf(largest, v[e]);
  return largest;
}

/// Reads the row once. Whenever the maximum grows, the sum so far is rescaled to the new maximum.
template <int kThreads, typename T>
__device__ Softmax reduce_row(const Packs<T>& packs) {
  float top = -FLT_MAX, total = 0.0f;
#pragma unroll 4
  for (int q = threadIdx.x; q < packs.count; q += kThreads) {
    const auto z = packs.load(q);
    const float largest = largest_of(z);
    if (largest > top) {
      total *= expf(top - largest);
      top = largest;
    }
    total += sum_of(map(z, [top](float x) { return expf(x - top); }));
  }
  const float row_top = reduce_block<kThreads>(top, -FLT_MAX, Max());
  return {row_top, block_sum<kThreads>(total * expf(top - row_top))};
}

/// The gradient of a pack of logits, in which the target has place `at`.
template <int kPack>
__device__ Vec<float, kPack> gradient_of(Vec<float, kPack> z, float top, float factor, int at, float scale) {
#pragma unroll
  for (int e = 0; e < kPack; ++e) z[e] = expf(z[e] - top) * factor - (at == e ? scale : 0.0f);
  return z;
}

template <int kThreads, bool kGradient, typename T>
__global__ void __launch_bounds__(kThreads)
    row_kernel(float* losses, T* logits, const int32_t* targets, float scale, int vocab, int pitch,
               FaultReport report) {
  const int row = blockIdx.x, target = target_of(targets, row, vocab, report);
  const Packs<T> packs(logits + static_cast<int64_t>(row) * pitch, vocab);
  const float wanted = to_float(packs.row[target]);
  const Softmax softmax = reduce_row<kThreads>(packs);  // has barriers, so `wanted` is read before any write
  if (threadIdx.x == 0) losses[row] = logf(softmax.total) + (softmax.top - wanted);
  if constexpr (kGradient) {
    const float factor = scale / softmax.total;
    const int passes = (packs.count + kThreads - 1) / kThreads;
#pragma unroll 4
    for (int q = threadIdx.x + (passes - 1) * kThreads; q >= 0; q -= kThreads) {
      if (q >= packs.count) continue;
      packs.store(q, gradient_of(packs.load(q), softmax.top, factor, target - packs.column(q), scale));
    }
  }
}

/// Eight bf16 as four pairs, so that the compiler keeps them in four registers.
struct Pairs {
  Vec<uint32_t, 4> pairs;

  /// Loads elements first ... of a row. Elements from `end` on are -infinity.
  __device__ static Pairs load(const bf16* row, int first, int end) {
    constexpr uint32_t kMinusInfinity = 0xff80;
    if (first >= end) return {filled<uint32_t, 4>(kMinusInfinity << 16 | kMinusInfinity)};
    Pairs p = {load_whole(reinterpret_cast<const uint32_t*>(row + first))};
    if (first + 8 <= end) return p;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (first + 2 * i >= end) p.pairs[i] = (p.pairs[i] & 0xffff0000u) | kMinusInfinity;
      if (first + 2 * i + 1 >= end) p.pairs[i] = (p.pairs[i] & 0xffffu) | kMinusInfinity << 16;
    }
    return p;
  }
  /// Every pass over the row converts them again: a lane of RDNA has too few registers to keep the floats.
  __device__ Vec<float, 8> floats() {
    Vec<float, 8> v;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      pairs[i] = opaque(pairs[i]);
      v[2 * i] = __uint_as_float(pairs[i] << 16);
      v[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
    }
    return v;
  }
};

/// The same, with the gradient, for an aligned row of bf16, of which every thread holds 8 kHeld elements in registers, so that
/// memory is read once. Two blocks or more share a compute unit: one loads or stores while another computes.
/// Packs are read and written as a whole, so the pitch must have room for the last one.
template <int kHeld>
__global__ void HIPGPT_LAUNCH_BOUNDS(kHeldBlock, 2)
    held_row_kernel(float* losses, bf16* logits, const int32_t* targets, float scale, int vocab, int pitch,
                    FaultReport report) {
  const int row = blockIdx.x, target = target_of(targets, row, vocab, report);
  bf16* z = logits + static_cast<int64_t>(row) * pitch;
  const float wanted = to_float(z[target]);
  Pairs held[kHeld];
#pragma unroll
  for (int i = 0; i < kHeld; ++i) held[i] = Pairs::load(z, 8 * (threadIdx.x + i * kHeldBlock), vocab);
  float top = -FLT_MAX, total = 0.0f;
#pragma unroll
  for (int i = 0; i < kHeld; ++i) top = fmaxf(top, largest_of(held[i].floats()));
  top = reduce_block<kHeldBlock>(top, -FLT_MAX, Max());  // has barriers, so `wanted` is read before any write
  const float offset = top * kLog2E;
  const auto exponential = [offset](float x) { return exp2_of(fmaf(x, kLog2E, -offset)); };
#pragma unroll
  for (int i = 0; i < kHeld; ++i) total += sum_of(map(held[i].floats(), exponential));
  total = block_sum<kHeldBlock>(total);
  if (threadIdx.x == 0) losses[row] = logf(total) + (top - wanted);
  const float factor = scale / total;
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const int first = 8 * (threadIdx.x + i * kHeldBlock);
    if (first >= vocab) continue;
    const auto gradient = map(held[i].floats(), [&](float x) { return exponential(x) * factor; });
    store_whole(z + first, from_floats<bf16>(gradient));
    if (target / 8 == first / 8) z[target] = from_float<bf16>(exponential(wanted) * factor - scale);
  }
}

/// Writes `logits` only if kGradient.
template <bool kGradient>
void launch(const Stream& stream, Tensor losses, Tensor logits, Tensor targets, float scale) {
  const int rows = static_cast<int>(logits.dim(0)), vocab = static_cast<int>(logits.dim(1));
  const int pitch = static_cast<int>(logits.pitch());
  const FaultReport report{stream.fault, kGradient ? Fault::kCrossEntropyWithGradient : Fault::kCrossEntropy};
  with_type_of(logits, [&](auto type) {
    using T = decltype(type);
    T* z = elements<T>(logits);
    if (vocab <= 512) {
      const auto kernel =
          vocab <= 128 ? small_rows_kernel<4, kGradient, T> : small_rows_kernel<16, kGradient, T>;
      const dim3 grid((rows + kTeamBlock / kTeam - 1) / (kTeamBlock / kTeam));
      hipLaunchKernelGGL(kernel, grid, dim3(kTeamBlock), 0, stream.handle, losses.f32(), z, targets.i32(),
                         scale, rows, vocab, pitch, report);
    } else {
      const bool short_row = vocab <= 16384;
      int threads = short_row ? 256 : 1024;
      auto kernel = short_row ? row_kernel<256, kGradient, T> : row_kernel<1024, kGradient, T>;
      if constexpr (kGradient && std::is_same_v<T, bf16>) {
        constexpr int kPerHeld = 8 * kHeldBlock;  // elements for each pack that a thread holds
        if (rows_aligned(pitch, z) && vocab <= 25 * kPerHeld) {
          kernel = vocab <= 5 * kPerHeld   ? held_row_kernel<5>
                   : vocab <= 9 * kPerHeld ? held_row_kernel<9>
                                           : held_row_kernel<25>;
          threads = kHeldBlock;
        }
      }
      hipLaunchKernelGGL(kernel, dim3(rows), dim3(threads), 0, stream.handle, losses.f32(), z, targets.i32(),
                         scale, vocab, pitch, report);
    }
  });
  HIP_CHECK_LAUNCH("cross_entropy");
}

}  // namespace

void cross_entropy(const Stream& stream, Tensor losses, Tensor logits, Tensor targets) {
  check::cross_entropy(losses, logits, targets);
  launch<false>(stream, losses, logits, targets, 0.0f);
}

void cross_entropy_with_gradient(const Stream& stream, Tensor losses, Tensor logits, Tensor targets,
                                 float scale) {
  check::cross_entropy_with_gradient(losses, logits, targets, scale);
  launch<true>(stream, losses, logits, targets, scale);
}

}  // namespace hipgpt::hip
