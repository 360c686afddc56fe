// generate: prompt in, text out.
#include "cli/generate_options.h"
#include "cli/launch.h"
#include "cli/run_main.h"
#include "run_generation.h"

int main(int argc, char** argv) {
  hipgpt::prepare_process("generate");
  return hipgpt::report_errors("generate", [&] {
    hipgpt::GenerationRun run;
    int exit_status = 0;
    if (!hipgpt::parse_generate_options(argc, argv, run, exit_status)) return exit_status;
    if (hipgpt::must_launch(run.gpus)) return hipgpt::launch(run.gpus, argv);
    return hipgpt::run_generation(run);
  });
}
