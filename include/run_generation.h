// A whole run of generate: from prompts to text, or from a text to its perplexity, on standard output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "device.h"

namespace hipgpt {

struct GenerationRun {
  // What to do: one of these. Without any of them, standard input is the prompt.
  std::optional<std::string> prompt;  ///< a text
  std::string prompt_file;            ///< that holds one prompt; "-": standard input
  std::string prompts_file;           ///< that holds a prompt in every line; "-": standard input
  bool interactive = false;           ///< a prompt in every line that is typed
  std::string perplexity_file;        ///< a text to score

  int64_t num_tokens = 50;
  int64_t num_samples = 1;  ///< of each prompt
  int64_t stop_token = -1;  ///< -1: <|endoftext|>, if the vocabulary has it
  bool json = false;        ///< a JSON object in a line for each sample
  int logprobs = -1;        ///< log-probabilities of tokens, and of so many of the likeliest; -1: none
  int64_t stride = 0;       ///< tokens that a window of perplexity scores; 0: half of what the model sees

  Sampling sampling;             ///< its seed is replaced by `seed`
  std::optional<uint64_t> seed;  ///< none: a random one, which is reported

  std::string run_name;               ///< of train_gpt --run-name, or empty
  std::optional<int64_t> step;        ///< of a named run; none: the latest
  std::string checkpoint, tokenizer;  ///< files, instead of those that run_name says; or empty
  std::string export_folder;          ///< where to write the model for Hugging Face, instead of generating

  std::string device = "auto";
  int threads = 0;
};

/// Prints what was asked for as it comes, or exports the model; facts about the run go to standard error.
void run_generation(const GenerationRun& run);

}  // namespace hipgpt
