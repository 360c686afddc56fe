// Prints samples, either as text while it is drawn or as one JSON object per sample.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/log_probabilities.h"
#include "tokenizer.h"

namespace hipgpt {

/// A prompt and, if requested, the log-probabilities of its tokens. The first token has none.
struct Prompt {
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<std::optional<double>> logprobs;
};

enum class Finish { kLength, kStop, kInterrupted };

/// A continuation of a prompt.
struct Sample {
  std::vector<int32_t> tokens;     ///< including a stop token that ended it
  std::vector<DrawnToken> scores;  ///< one per token, if requested
  std::optional<Finish> finish;    ///< nullopt while it continues
};

/// Samples of a prompt are drawn together but printed one after another, in order of their numbers. The first
/// unfinished sample is printed as it is drawn; later ones wait until all earlier ones are finished.
class SampleWriter {
 public:
  virtual ~SampleWriter() = default;

  /// Reports a new token of sample `i`. i counts the samples of this prompt from 0.
  virtual void token(size_t i, int32_t id) = 0;

  /// Reports that sample `i` is finished.
  virtual void finish(size_t i, const Sample& sample) = 0;

 protected:
  SampleWriter() = default;

  void write(size_t i, std::string_view text);
  void close(size_t i);

 private:
  struct Waiting {
    std::string text;
    bool closed = false;
  };
  Waiting& waiting(size_t i);

  size_t front_ = 0;
  std::vector<Waiting> waiting_;  // by sample
};

/// Prints prompt and continuation in whole characters, then a newline and a table of any log-probabilities. A
/// line `---` separates samples; if `separate`, one also precedes the first.
std::unique_ptr<SampleWriter> make_text_writer(const Tokenizer& tokenizer, const Prompt& prompt,
                                               bool separate);

/// Prints one object per line and sample. It holds the prompt, the continuation (text), its tokens, why it
/// ended (finish_reason), the sample's seed and number, and any log-probabilities. Its strings have U+FFFD
/// for bytes that are not UTF-8; the token ids are exact. `first` is the number of sample 0.
std::unique_ptr<SampleWriter> make_json_writer(const Tokenizer& tokenizer, const Prompt& prompt,
                                               uint64_t seed, int64_t first);

}  // namespace hipgpt
