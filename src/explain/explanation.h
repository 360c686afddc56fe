// Explanation: what a model did with a text, as data for the page and for programs.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "device/measured_speed.h"
#include "device/timing_device.h"
#include "gpt_model.h"
#include "tokenizer.h"
#include "util/json.h"

namespace hipgpt {

struct ForwardTrace;
struct Rows;

/// The longest text that can be explained. Attention has a number for every pair of tokens.
inline constexpr size_t kMostExplained = 256;

/// Collects the data of one text, at one or several checkpoints of a model of the same sizes. README.md lists
/// their members.
class Explanation {
 public:
  /// The text is the first `prompt_tokens` tokens and their continuation. `checkpoints` is how many will be
  /// added: the more there are, the fewer weights of attention each has. The tokenizer must outlive this.
  Explanation(const Tokenizer& tokenizer, std::vector<int32_t> tokens, size_t prompt_tokens,
              const Sampling& sampling, size_t checkpoints = 1);

  /// Runs the model with its present weights. Throws Error if the text does not fit it.
  void add_checkpoint(const GPTModel& model, std::optional<int64_t> step);

  /// Times the operations of the forward pass. `timing` must be the model's device.
  void add_cost(const GPTModel& model, TimingDevice& timing);

  /// The data, with these facts about the model.
  JsonValue json(JsonValue model) const;

 private:
  JsonValue lens_of(const Rows& logits);
  JsonValue attention_of(const ForwardTrace& trace, const ModelConfig& config) const;
  JsonValue positions_of(const GPTModel& model, const ForwardTrace& trace);
  JsonValue vocabulary() const;
  JsonValue merges() const;

  const Tokenizer& tokenizer_;
  std::vector<int32_t> tokens_;
  size_t prompt_tokens_;
  Sampling sampling_;
  size_t planned_;
  std::set<int32_t> shown_;  // every token that the data name
  bool dense_ = true;        // attention has all weights of a row
  JsonValue::Array places_, parts_, checkpoints_;
  JsonValue cost_;
};

}  // namespace hipgpt
