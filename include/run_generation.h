// A whole generation run: from a prompt to text on standard output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "device.h"

namespace hipgpt {

struct GenerationRun {
  std::string prompt;
  int64_t num_tokens = 50;
  int64_t stop_token = -1;  ///< -1: <|endoftext|>, if the vocabulary has it

  Sampling sampling;             ///< its seed is replaced by `seed`
  std::optional<uint64_t> seed;  ///< none: a random one, which is reported

  std::string run_name;               ///< of train_gpt --run-name, or empty
  std::optional<int64_t> step;        ///< of a named run; none: the latest
  std::string checkpoint, tokenizer;  ///< files, instead of those that run_name says; or empty
  std::string export_folder;          ///< where to write the model for Hugging Face, instead of generating

  std::string device = "auto";
  int threads = 0;
};

/// Prints the prompt and its continuation as it comes, or exports the model; facts about the run go to
/// standard error.
void run_generation(const GenerationRun& run);

}  // namespace hipgpt
