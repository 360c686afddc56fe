// Runs all blocks of a kernel, on a few OS threads.
#pragma once

#include "platform/emulated/block.h"

namespace hipgpt::emulated {

/// Returns when the last block is done. Of two at a time, from two threads of the host, one waits.
void run_grid(const Launch& launch);

}  // namespace hipgpt::emulated
