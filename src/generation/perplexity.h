// Perplexity: measures how well a model predicts a text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "comm/team.h"
#include "gpt_model.h"
#include "tokenizer.h"

namespace hipgpt {

/// SlidingWindows defines loss_i, in nats. The sums run over the scored tokens: all but the first, which has
/// no context.
///     loss           = sum_i loss_i / scored
///     perplexity     = exp(loss)
///     bits per byte  = sum_i loss_i / (ln 2 . bytes of the scored tokens)
/// Bits per byte do not depend on the vocabulary, so they can compare models with different vocabularies.
struct Perplexity {
  int64_t tokens = 0;  ///< of the whole text
  int64_t scored = 0, scored_bytes = 0;
  double nats = 0.0;  ///< sum_i loss_i

  double loss() const;
  double perplexity() const;
  double bits_per_byte() const;
};

/// Scores a text of any bytes and, if it is mapped, of any size. A `stride` of 0 means half a window. Throws
/// Error if the text has fewer than two tokens, if the stride exceeds the window, or if a loss is not finite.
/// `name` names the text in messages. After each scored token, `on_scored` gets the values so far. The
/// processes of `team`, if given, share the windows; all call this, and all get the result.
Perplexity measure_perplexity(
    const GPTModel& model, const Tokenizer& tokenizer, std::string_view text, const std::string& name,
    int64_t stride, int threads,
    const std::function<void(const Perplexity&)>& on_scored = [](const Perplexity&) {}, Team* team = nullptr);

/// Returns half a window. Except at the text's beginning, every token is then predicted from at least half a
/// window of context.
int64_t default_stride(const GPTModel& model);

}  // namespace hipgpt
