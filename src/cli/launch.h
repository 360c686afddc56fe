// --gpus N: starts the processes of a run on this machine, one for each GPU.
#pragma once

namespace hipgpt {

/// Whether this process must start the processes of the run. False for one GPU, and in a process that launch()
/// has started. Throws Error if another launcher has started this process.
bool must_launch(int gpus);

/// Runs this program again, with the same arguments, in `count` processes that connect as those of torchrun do.
/// Passes signals on to process 0, and kills processes that do not end within 30 s after another has failed.
/// Returns when all have ended: the exit status of process 0, or that of the first other process that failed.
/// Throws Error if this machine has fewer GPUs.
int launch(int count, char** arguments);

}  // namespace hipgpt
