// Runs all blocks of a kernel on a few OS threads.
#pragma once

#include "platform/emulated/block.h"

namespace hipgpt::emulated {

/// Returns when the last block is done. Concurrent launches from two host threads are serialised.
void run_grid(const Launch& launch);

}  // namespace hipgpt::emulated
