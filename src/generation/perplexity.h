// Perplexity: how well a model predicts a text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gpt_model.h"
#include "tokenizer.h"

namespace hipgpt {

/// With loss_i in nats as SlidingWindows defines it, summed over the scored tokens (all but the first, which
/// has no context):
///     loss           = sum_i loss_i / scored
///     perplexity     = exp(loss)
///     bits per byte  = sum_i loss_i / (ln 2 . bytes of the scored tokens)
/// The last does not depend on the vocabulary, so it compares models with different ones.
struct Perplexity {
  int64_t tokens = 0;  ///< of the whole text
  int64_t scored = 0, scored_bytes = 0;
  double nats = 0.0;  ///< sum_i loss_i

  double loss() const;
  double perplexity() const;
  double bits_per_byte() const;
};

/// Scores a text of any bytes and, if it is mapped, any size. `stride` 0: half a window. Error, by the text's
/// `name`, if it has less than two tokens, if the stride is not from 1 to the window, or if the model gives
/// no numbers.
Perplexity measure_perplexity(const GPTModel& model, const Tokenizer& tokenizer, std::string_view text,
                              const std::string& name, int64_t stride, int threads);

/// Half a window: every token but those at the text's beginning is predicted from half of what the model
/// sees.
int64_t default_stride(const GPTModel& model);

}  // namespace hipgpt
