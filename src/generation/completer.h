// Completer: from a prompt to the samples that are printed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "generation/sample_writer.h"
#include "generation/sliding_windows.h"
#include "generator.h"
#include "run_generation.h"
#include "tokenizer.h"

namespace hipgpt {

/// Continues prompts as a run asks for it. Memory and recorded operations are kept from prompt to prompt.
class Completer {
 public:
  /// `sampling` has the seed, and `stop_token` is one or -1.
  Completer(const GenerationRun& run, const Sampling& sampling, int64_t stop_token,
            const Tokenizer& tokenizer, GPTModel& model);

  /// Draws and prints the run's number of samples of a prompt, numbered from `first` on; `separate`: after
  /// another prompt's. Ends early when `interrupted` says so, which is asked after every token.
  void complete(
      const std::string& text, int64_t first, bool separate,
      const std::function<bool()>& interrupted = [] { return false; });

  /// Tokens drawn so far: those of a sample up to its stop token.
  int64_t tokens_drawn() const { return tokens_drawn_; }

 private:
  Prompt read_prompt(const std::string& text);
  void draw(const Prompt& prompt, int64_t first, int64_t offset, int count, SampleWriter& writer,
            const std::function<bool()>& interrupted);
  void take_tokens(std::span<Sample> samples, int64_t offset, SampleWriter& writer);

  const GenerationRun& run_;
  Sampling sampling_;
  int64_t stop_token_;
  const Tokenizer& tokenizer_;
  GPTModel& model_;
  std::optional<Generator> generator_;
  std::optional<SlidingWindows> prompt_windows_;  // if log-probabilities are asked for
  std::vector<std::optional<double>> prompt_logprobs_;
  int64_t tokens_drawn_ = 0;
};

}  // namespace hipgpt
