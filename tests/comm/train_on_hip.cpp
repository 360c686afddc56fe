// Trains on the HIP device of the library it is linked with, which is the emulated one:
//
//   train_on_hip STEPS [shard] [gpus N]
//
// It is one process of a run, or starts N with `gpus N`.
#include <cstdlib>
#include <string_view>

#include "cli/launch.h"
#include "cli/run_main.h"
#include "run_training.h"

int main(int argc, char** argv) {
  hipgpt::prepare_process("train_on_hip");
  return hipgpt::report_errors("train_on_hip", [&] {
    hipgpt::TrainingRun run;
    run.data_paths = {"text.txt"};
    run.vocab_size = 300;
    run.model.seq = 16;
    run.model.dim = 32;
    run.model.heads = 2;
    run.model.layers = 2;
    run.model.ff = 64;
    run.model.activation = "gelu";
    run.model.final_layernorm = true;
    run.training.batch = 4;
    run.training.steps = std::atoi(argv[1]);
    run.log_every = 1;
    run.eval_batches = 1;
    run.device = "hip";
    run.dtype = "fp32";
    for (int i = 2; i < argc; ++i) {
      const std::string_view word = argv[i];
      if (word == "shard") run.training.shard_optimizer = true;
      if (word == "gpus") run.gpus = std::atoi(argv[i + 1]);
    }
    if (hipgpt::must_launch(run.gpus)) return hipgpt::launch(run.gpus, argv);
    return hipgpt::run_training(run);
  });
}
