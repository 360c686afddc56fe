// Every number that was chosen by measurement, with its source. To add numbers for another architecture, run
// the named bench on it and add a row here.
//
// | what | machine | bench | date |
// |---|---|---|---|
// | ProductTuning | NVIDIA H200 | tests/bench/matmul_bench, shapes of GPT-2 and nanoGPT | 2026-11-22 |
// | bf16_small_speed | none | an estimate | 2026-11-27 |
// | sm90_* | NVIDIA H200 | tests/bench/matmul_bench, bf16 | 2026-11-27 |
// | AttentionTuning | NVIDIA H200 | tests/bench/train_step_bench | 2026-11-22 |
// | kSwizzledTiles, CdnaAtom::kStep | none | LDS and registers, by tests/isa/resources.py | 2026-11-26 |
#pragma once

#include "hip/kernel.h"

namespace hipgpt::hip {

/// How launch_product chooses a tile shape and splits k.
struct ProductTuning {
  double medium_speed, small_speed;  ///< of these tiles on a full GPU; large tiles have 1
  double bf16_small_speed;
  double sm90_smallest;     ///< multiplications of a product from which sm_90's kernels are used
  double sm90_small_speed;  ///< of tiles of 128 x 128, where those of 128 x 192 have 1
  double sm90_store;        ///< storing a tile of 128 x 192 takes as long as this many indices of k
  double sm90_summing;      ///< writing and adding a million elements of a part: as long as this many
  double alone;             ///< a compute unit with one or two blocks takes as long as with this many
  double summing;           ///< writing and adding a part takes as long as this many steps along k
  int64_t most_parts, shortest_part;
};

/// When attention's kernels use more blocks with less work each.
struct AttentionTuning {
  int little_queries;  ///< forward: at most this many queries, of all heads, per compute unit
  int whole_heads;     ///< backward: heads per compute unit from which a block takes a whole head
};

struct Tuning {
  ProductTuning product;
  AttentionTuning attention;
};

constexpr Tuning kH200 = {{0.7, 0.35, 0.6, 1e9, 0.93, 400.0, 205.0, 2.2, 40.0, 32, 128}, {64, 2}};
constexpr Tuning kTuning = kH200;  // no other card has been measured

/// Threads of a block of 128 x 128 in bf16. AMD has four waves of 64 lanes, or eight of 32, which leave
/// registers for two blocks on a compute unit of CDNA.
constexpr int kBf16Threads = kForAmd ? 256 : 128;

// The layout of attention's tiles. Where shared memory limits the blocks of a compute unit (CDNA has 64 KB),
// tiles are swizzled, which needs no padding. Elsewhere they are padded, which needs no instructions.
#if defined(__HIP_DEVICE_COMPILE__) && defined(__HIP_PLATFORM_AMD__)
constexpr bool kSwizzledTiles = true;
#else
constexpr bool kSwizzledTiles = false;
#endif

}  // namespace hipgpt::hip
