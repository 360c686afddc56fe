// Every number that was chosen by measuring, with where it comes from. A number for another architecture is
// another row here, once its owner has run the bench that is named.
//
// | what | machine | bench | date |
// |---|---|---|---|
// | ProductTuning | NVIDIA H200 | tests/bench/matmul_bench, shapes of GPT-2 and nanoGPT | 2026-11-22 |
// | AttentionTuning | NVIDIA H200 | tests/bench/train_step_bench | 2026-11-22 |
// | kSwizzledTiles, steps along k of CDNA (mma/cdna.h) | none: LDS and registers counted by
// tests/isa/resources.py | | 2026-11-26 |
#pragma once

#include <cstdint>

namespace hipgpt::hip {

/// How launch_product chooses among its tiles, and cuts k.
struct ProductTuning {
  double medium_speed, small_speed;  ///< of these tiles on a full GPU, the large ones' being 1
  double alone;    ///< a compute unit with one or two blocks takes as long as with this many
  double summing;  ///< writing and adding up a part takes as long as this many steps of k
  int64_t most_parts, shortest_part;
};

/// When attention's kernels take less work a block, to have more blocks.
struct AttentionTuning {
  int little_queries;  ///< forward: up to so many queries, of all heads, a compute unit
  int whole_heads;     ///< backward: a block takes a whole head from so many heads a compute unit on
};

struct Tuning {
  ProductTuning product;
  AttentionTuning attention;
};

constexpr Tuning kH200 = {{0.7, 0.35, 2.2, 40.0, 32, 128}, {64, 2}};
constexpr Tuning kTuning = kH200;  // no other card has been measured

// Attention's tiles: where shared memory limits the blocks of a compute unit (CDNA has 64 KB), the layout
// that takes none for padding; elsewhere the one that takes no instruction.
#if defined(__HIP_DEVICE_COMPILE__) && defined(__HIP_PLATFORM_AMD__)
constexpr bool kSwizzledTiles = true;
#else
constexpr bool kSwizzledTiles = false;
#endif

}  // namespace hipgpt::hip
