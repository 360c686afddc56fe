// What is printed of samples: text as it comes, or a JSON object for each.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "generation/log_probabilities.h"
#include "tokenizer.h"

namespace hipgpt {

/// A prompt and, if they were asked for, the log-probabilities of its tokens: that of the first is none.
struct Prompt {
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<std::optional<double>> logprobs;
};

enum class Finish { kLength, kStop, kInterrupted };

/// A continuation of a prompt.
struct Sample {
  std::vector<int32_t> tokens;     ///< a stop token that ended it included
  std::vector<DrawnToken> scores;  ///< one for each token, if they were asked for
  std::optional<Finish> finish;    ///< none: it continues
};

/// Samples of a prompt are drawn side by side but printed one after the other, in the order of their numbers:
/// the first that is not finished as it comes, those behind it when it is.
class SampleWriter {
 public:
  virtual ~SampleWriter() = default;

  /// Sample `i` has a new last token. i counts the samples of this prompt, from 0.
  virtual void token(size_t i, int32_t id) = 0;

  /// It is finished.
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

/// Prompt and continuation, whole characters only, then a newline and a table of log-probabilities if there
/// are any. A line `---` is between samples, and before the first one if `separate`.
std::unique_ptr<SampleWriter> make_text_writer(const Tokenizer& tokenizer, const Prompt& prompt,
                                               bool separate);

/// One line for each sample: an object with the prompt, the continuation (text), its tokens, why it ended
/// (finish_reason), seed and number of the sample, and log-probabilities if there are any. Bytes that are no
/// UTF-8 are U+FFFD in its strings; the ids of tokens say exactly what they were. `first` is the number of
/// sample 0.
std::unique_ptr<SampleWriter> make_json_writer(const Tokenizer& tokenizer, const Prompt& prompt,
                                               uint64_t seed, int64_t first);

}  // namespace hipgpt
