// generate --explain: writes what a model does with a prompt, as a page or as data.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "device/timing_device.h"
#include "gpt_model.h"
#include "run_generation.h"
#include "tokenizer.h"

namespace hipgpt {

/// A loaded model and where it came from.
struct ExplainedModel {
  const Tokenizer& tokenizer;
  GPTModel& model;
  TimingDevice& timing;              ///< the model's device
  std::string name;                  ///< such as "gpt_checkpoint.bin: step 1000"
  std::optional<int64_t> step = {};  ///< of its checkpoint
};

/// Throws Error unless the run's choices go together and run.explain_file can be written. Called before
/// anything is loaded.
void check_explain_flags(const GenerationRun& run);

/// Throws Error if the prompt and the tokens to draw are more than the model or a page can take.
void check_explain_length(const GenerationRun& run, int64_t prompt_tokens, const ModelConfig& config);

/// Writes run.explain_file. `sampling` and `stop_tokens` are for the tokens that the run draws after the
/// prompt. With run.explain_steps, the model ends with the weights of the run's newest checkpoint.
void explain_prompt(const GenerationRun& run, const std::string& prompt, const Sampling& sampling,
                    const std::vector<int32_t>& stop_tokens, const ExplainedModel& explained);

}  // namespace hipgpt
