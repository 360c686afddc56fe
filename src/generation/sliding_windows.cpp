#include "generation/sliding_windows.h"

#include <algorithm>

namespace hipgpt {

int64_t SlidingWindows::window(const GPTModel& model) {
  return std::max(model.config().max_seq_len, 2);
}

SlidingWindows::SlidingWindows(const GPTModel& model, int64_t stride, Sink sink)
    : model_(model), window_(window(model)), stride_(stride), sink_(std::move(sink)) {
  constexpr int64_t kRows = 4096;  // enough to keep a device busy
  batch_ = std::max<int64_t>(1, kRows / window_);
}

void SlidingWindows::push(std::span<const int32_t> tokens) {
  pending_.insert(pending_.end(), tokens.begin(), tokens.end());
  const std::span<const int32_t> all = pending_;
  size_t begin = 0;
  for (; all.size() - begin >= static_cast<size_t>(window_); begin += static_cast<size_t>(stride_)) {
    add_window(all.subspan(begin, static_cast<size_t>(window_)));
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(begin));
}

void SlidingWindows::finish() {
  add_window(pending_);
  score_batch();
  pending_.clear();
  first_window_ = true;
  turn_ = 0;
}

void SlidingWindows::add_window(std::span<const int32_t> tokens) {
  const int64_t first_scored = first_window_ ? 1 : std::max<int64_t>(1, window_ - stride_);
  const auto length = static_cast<int64_t>(tokens.size());
  if (first_scored >= length) return;  // the previous window has already scored the text's last token
  first_window_ = false;
  windows_.push_back({first_scored, length});
  // Short windows are padded. What follows a token does not change its loss.
  const size_t end = windows_.size() * static_cast<size_t>(window_ - 1);
  inputs_.insert(inputs_.end(), tokens.begin(), tokens.end() - 1);
  targets_.insert(targets_.end(), tokens.begin() + 1, tokens.end());
  inputs_.resize(end, 0);
  targets_.resize(end, 0);
  if (static_cast<int64_t>(windows_.size()) == batch_) score_batch();
}

void SlidingWindows::score_batch() {
  if (windows_.empty()) return;
  if (turn_ == rank_) score();
  turn_ = (turn_ + 1) % processes_;
  windows_.clear();
  inputs_.clear();
  targets_.clear();
}

void SlidingWindows::score() {
  // A text shorter than a window, such as a prompt, is not padded.
  const bool is_short = windows_.size() == 1 && windows_[0].length < window_;
  const int64_t length = is_short ? windows_[0].length - 1 : window_ - 1;
  const auto size = windows_.size() * static_cast<size_t>(length);
  const auto losses = pass_for(is_short ? 1 : batch_, length)
                          .token_losses(std::span(inputs_).first(size), std::span(targets_).first(size));
  for (size_t w = 0; w < windows_.size(); ++w) {
    const size_t row = w * static_cast<size_t>(window_ - 1);
    for (int64_t i = windows_[w].first_scored; i < windows_[w].length; ++i) {
      const size_t at = row + static_cast<size_t>(i - 1);  // token i is predicted from input i-1
      sink_(targets_[at], losses[at]);
    }
  }
}

/// Returns a pass of this size and reuses the previous one if it fits.
TrainingPass& SlidingWindows::pass_for(int64_t batch, int64_t length) {
  if (!pass_ || pass_->max_batch() != batch || pass_->seq_len() != length) {
    pass_.reset();  // frees its memory first
    pass_ = std::make_unique<TrainingPass>(model_, static_cast<int>(batch), static_cast<int>(length),
                                           TrainingPass::kForwardOnly);
  }
  return *pass_;
}

}  // namespace hipgpt
