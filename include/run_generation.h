// A whole run of generate: turns prompts into text, or a text into its perplexity, on standard output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "device.h"

namespace hipgpt {

struct GenerationRun {
  // What to do: at most one of these is set. If none is set, standard input is the prompt.
  std::optional<std::string> prompt;  ///< the text of a prompt
  std::string prompt_file;            ///< a file with one prompt; "-": standard input
  std::string prompts_file;           ///< a file with one prompt per line; "-": standard input
  bool interactive = false;           ///< each line the user types is a prompt
  std::string perplexity_file;        ///< a text to score

  std::string explain_file;      ///< a .html or .json file for what the model does with the prompt, or empty
  int64_t explained_tokens = 0;  ///< tokens to draw after the prompt and explain too
  bool explain_steps = false;    ///< explain at every checkpoint of the named run

  int64_t num_tokens = 50;
  int64_t num_samples = 1;  ///< samples per prompt
  int64_t stop_token = -1;  ///< -1: those that the model names, else <|endoftext|>
  bool json = false;        ///< print one JSON object per line and sample
  int logprobs = -1;        ///< log-probabilities of the tokens and of this many likeliest ones; -1: none
  int64_t stride = 0;       ///< tokens that a perplexity window scores; 0: half of the model's context

  Sampling sampling;             ///< its seed is replaced by `seed`
  std::optional<uint64_t> seed;  ///< none: a random one, which is reported

  std::string run_name;               ///< the value of train_gpt --run-name, or empty
  std::optional<int64_t> step;        ///< step of a named run's checkpoint; none: the latest
  std::string checkpoint, tokenizer;  ///< files to use instead of run_name's; or empty
  std::string export_folder;          ///< where to write the model for Hugging Face, instead of generating

  std::string device = "auto";
  std::string dtype = "auto";    ///< see choose_dtype()
  std::string weights = "fp32";  ///< see choose_weights()
  int threads = 0;
  int gpus = 1;  ///< processes on this machine; started by the program, not by run_generation()
};

/// Prints the requested output as it is generated, or exports the model. Facts about the run go to standard
/// error. Returns the exit status, which is 1 if another process of the run has failed. Throws Error for
/// everything else.
int run_generation(const GenerationRun& run);

}  // namespace hipgpt
