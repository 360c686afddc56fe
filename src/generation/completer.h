// Completer: draws and prints the samples of a prompt.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "generation/sample_writer.h"
#include "generation/sliding_windows.h"
#include "generator.h"
#include "run_generation.h"
#include "tokenizer.h"

namespace hipgpt {

/// Continues prompts with the settings of a run. It reuses memory and captured graphs from prompt to prompt.
class Completer {
 public:
  /// `sampling` must hold the seed. Each of `stop_tokens` ends a sample.
  Completer(const GenerationRun& run, const Sampling& sampling, std::vector<int32_t> stop_tokens,
            const Tokenizer& tokenizer, GPTModel& model);

  /// Draws and prints the run's number of samples of a prompt, numbered from `first`. `separate` means that
  /// another prompt's samples precede them. Ends early if `interrupted` returns true; it is called after
  /// every token.
  void complete(
      const std::string& text, int64_t first, bool separate,
      const std::function<bool()>& interrupted = [] { return false; });

  /// Returns the number of tokens drawn so far, counting each sample up to its stop token.
  int64_t tokens_drawn() const { return tokens_drawn_; }

 private:
  Prompt read_prompt(const std::string& text);
  void draw(const Prompt& prompt, int64_t first, int64_t offset, int count, SampleWriter& writer,
            const std::function<bool()>& interrupted);
  void take_tokens(std::span<Sample> samples, int64_t offset, SampleWriter& writer);

  const GenerationRun& run_;
  Sampling sampling_;
  std::vector<int32_t> stop_tokens_;
  const Tokenizer& tokenizer_;
  GPTModel& model_;
  std::optional<Generator> generator_;
  std::optional<SlidingWindows> prompt_windows_;  // only if the run prints log-probabilities
  std::vector<std::optional<double>> prompt_logprobs_;
  int64_t tokens_drawn_ = 0;
};

}  // namespace hipgpt
