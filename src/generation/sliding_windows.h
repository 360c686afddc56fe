// SlidingWindows: how well a model predicts each token of a text that may be longer than it sees.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "training_pass.h"

namespace hipgpt {

/// Windows of S tokens begin at every N-th token of a text of n: window k is [kN, min(kN+S, n)), and the last
/// is the first that reaches the text's end. A token is scored in the first window that holds it: window 0
/// scores all its tokens, any other its last N (the last window: those that are left). So a token's loss
///
///     loss_i = -ln p(x_i | x_kN ... x_(i-1))
///
/// is that after at least S-N tokens, once the text is as long. The first token of a window has nothing
/// before it and no loss: that is token 0 and, if N = S, the first of every window.
///
/// This is the strided perplexity of the documentation of Hugging Face transformers ("Perplexity of
/// fixed-length models"), with every loss counted once: where that recipe weighs the means of its windows by
/// a count that is one too small in all but the first, this sums the losses themselves.
class SlidingWindows {
 public:
  /// Takes scored tokens in the order of the text.
  using Sink = std::function<void(int32_t token, float loss)>;

  /// N = `stride` is from 1 to window(model).
  SlidingWindows(const GPTModel& model, int64_t stride, Sink sink);

  /// S, or 2 for a model that sees a single token.
  static int64_t window(const GPTModel& model);

  /// The next tokens of the text.
  void push(std::span<const int32_t> tokens);

  /// The end of the text; the next push() begins another one.
  void finish();

 private:
  struct Window {
    int64_t first_scored, length;  // in tokens of the window
  };

  void add_window(std::span<const int32_t> tokens);
  void score_batch();
  TrainingPass& pass_for(int64_t batch, int64_t length);

  const GPTModel& model_;
  int64_t window_, stride_, batch_;
  std::optional<TrainingPass> pass_;
  Sink sink_;
  std::vector<int32_t> pending_;  // tokens from the next window's first on
  bool first_window_ = true;
  std::vector<Window> windows_;            // of the batch that is being gathered
  std::vector<int32_t> inputs_, targets_;  // [windows, S-1]
};

}  // namespace hipgpt
