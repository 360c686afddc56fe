// Trains on the HIP device of the library it is linked with, which is the emulated one: `train_on_hip STEPS [shard]` in each
// process of a run.
#include <cstdlib>
#include <string>

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
    run.training.shard_optimizer = argc > 2;
    run.log_every = 1;
    run.eval_batches = 1;
    run.device = "hip";
    run.dtype = "fp32";
    return hipgpt::run_training(run);
  });
}
