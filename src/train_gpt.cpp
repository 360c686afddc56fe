// train_gpt: text in, tokenizer and checkpoint out.
#include "cli/run_main.h"
#include "cli/train_options.h"
#include "run_training.h"

int main(int argc, char** argv) {
  hipgpt::prepare_process("train_gpt");
  return hipgpt::report_errors("train_gpt", [&] {
    hipgpt::TrainingRun run;
    int exit_status = 0;
    if (!hipgpt::parse_train_options(argc, argv, run, exit_status)) return exit_status;
    return hipgpt::run_training(run);
  });
}
