// train_gpt: text in, tokenizer and checkpoint out.
#include "cli/launch.h"
#include "cli/run_main.h"
#include "cli/train_options.h"
#include "run_training.h"

int main(int argc, char** argv) {
  hipgpt::prepare_process("train_gpt");
  return hipgpt::report_errors("train_gpt", [&] {
    hipgpt::TrainingRun run;
    int exit_status = 0;
    if (!hipgpt::parse_train_options(argc, argv, run, exit_status)) return exit_status;
    if (hipgpt::must_launch(run.gpus)) return hipgpt::launch(run.gpus, argv);
    return hipgpt::run_training(run);
  });
}
