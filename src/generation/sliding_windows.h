// SlidingWindows: measures how well a model predicts each token of a text, which may be longer than its
// context.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "training_pass.h"

namespace hipgpt {

/// A window of S tokens begins at every N-th token of a text of n tokens. Window k is [kN, min(kN+S, n)), and
/// the first window that reaches the text's end is the last. Each token is scored in the first window that
/// holds it: window 0 scores all its tokens, any later window its last N, and the last window the remaining
/// ones. So a token's loss
///
///     loss_i = -ln p(x_i | x_kN ... x_(i-1))
///
/// has a context of at least S-N tokens, except near the start of the text. The first token of a window has
/// no context and no loss. This affects token 0 and, if N = S, the first token of every window.
///
/// This is the strided perplexity of the documentation of Hugging Face transformers ("Perplexity of
/// fixed-length models"), with every loss counted once. That recipe weights the mean of each window by a
/// count that is one too small in all windows but the first. This class sums the losses themselves.
class SlidingWindows {
 public:
  /// Receives scored tokens in text order.
  using Sink = std::function<void(int32_t token, float loss)>;

  /// N = `stride` must be from 1 to window(model).
  SlidingWindows(const GPTModel& model, int64_t stride, Sink sink);

  /// From now on, scores only the batches of windows whose number is `rank` modulo `processes`.
  void share(int rank, int processes) {
    rank_ = rank;
    processes_ = processes;
  }

  /// Returns S, or 2 for a model with a context of one token.
  static int64_t window(const GPTModel& model);

  /// Appends tokens of the text.
  void push(std::span<const int32_t> tokens);

  /// Ends the text. The next push() begins another one.
  void finish();

 private:
  struct Window {
    int64_t first_scored, length;  // in tokens of the window
  };

  void add_window(std::span<const int32_t> tokens);
  void score_batch();
  void score();
  TrainingPass& pass_for(int64_t batch, int64_t length);

  const GPTModel& model_;
  int64_t window_, stride_, batch_;
  int rank_ = 0, processes_ = 1, turn_ = 0;  // whose batch the next one is
  std::unique_ptr<TrainingPass> pass_;
  Sink sink_;
  std::vector<int32_t> pending_;  // tokens from the start of the next window on
  bool first_window_ = true;
  std::vector<Window> windows_;            // of the batch being collected
  std::vector<int32_t> inputs_, targets_;  // [windows, S-1]
};

}  // namespace hipgpt
