// Fuzzes the --config file as both programs read it. The result is a refusal with an exit status, or flags
// within their ranges.
#include <string>

#include "cli/generate_options.h"
#include "cli/train_options.h"
#include "fuzz_target.h"

namespace hipgpt::fuzz {
namespace {

bool within(double value, double lowest, double highest) {
  return value >= lowest && value <= highest;  // false for NaN
}

void check(const TrainingRun& run) {
  const TrainerOptions& t = run.training;
  require(!run.data_paths.empty() && !run.data_paths.front().empty(), "--data-path is not empty");
  require(!run.vocab_size || within(*run.vocab_size, 256, 1 << 24), "--vocab-size");
  require(within(run.val_fraction, 0.0, 0.9), "--val-fraction");
  require(t.steps >= 1 && t.batch >= 1 && t.grad_accum >= 1, "there is something to train on");
  require(within(t.learning_rate, 0.0, 1e3) && within(t.min_learning_rate, 0.0, 1e3), "--lr");
  require(within(t.beta1, 0.0, 1.0) && within(t.beta2, 0.0, 1.0), "AdamW's decays");
  require(within(t.dropout, 0.0, 0.95), "--dropout");
  require(within(t.grad_clip, 0.0, 1e9) && within(t.weight_decay, 0.0, 100.0), "--grad-clip, --weight-decay");
  const ModelConfig model = run.model.over(ModelConfig{});
  require(model.max_seq_len >= 1 && model.embed_dim >= 1 && model.num_heads >= 1, "sizes");
  require(run.keep_last >= 1 && run.log_every >= 1 && run.threads >= 0, "the counts of the run are in range");
}

void check(const GenerationRun& run) {
  require(run.num_tokens >= 1 && run.stop_token >= -1, "--num-tokens, --eos-id");
  require(run.sampling.top_k >= 0 && within(run.sampling.top_p, 0.0, 1.0), "--top-k, --top-p");
  require(within(run.sampling.temperature, 0.0, 1e6), "--temp");
  require(within(run.sampling.repetition_penalty, 0.01, 100.0), "--rep-penalty");
  require(!run.step || *run.step >= 0, "--step");
}

/// Parses `program --config FILE` with the function that the program begins with.
template <typename Run, typename Parse>
void check_program(const char* program, const std::string& file, const Parse& parse) {
  std::string name = program, flag = "--config", value = file;
  char* argv[] = {name.data(), flag.data(), value.data(), nullptr};
  Run run;
  int exit_status = -1;
  if (parse(3, argv, run, exit_status)) {
    check(run);
  } else {
    require(exit_status == 0 || exit_status == 2, "a refusal has an exit status");
  }
}

}  // namespace
}  // namespace hipgpt::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hipgpt;
  const fuzz::MemoryFile file(fuzz::as_text(data, size));
  fuzz::check_program<TrainingRun>("train_gpt", file.path(), parse_train_options);
  fuzz::check_program<GenerationRun>("generate", file.path(), parse_generate_options);
  return 0;
}
