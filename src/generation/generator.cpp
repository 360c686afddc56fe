#include "generator.h"

#include <algorithm>

#include "error.h"

namespace hipgpt {

Generator::Generator(const GPTModel& model, std::span<const int32_t> prompt, const SamplingOptions& sampling)
    : model_(model),
      cache_(model.make_cache()),
      sampler_(sampling),
      tokens_(prompt.begin(), prompt.end()),
      unread_(prompt.size()) {
  if (prompt.empty()) throw Error("the prompt has no tokens: give at least one character");
}

int32_t Generator::next() {
  const auto context = static_cast<size_t>(model_.config().max_seq_len);
  const auto cached = static_cast<size_t>(cache_->length());
  std::span<const float> logits;
  if (cached + unread_ <= context) {
    logits = read(unread_);
  } else {
    cache_->clear();
    const size_t keep = cached == 0 ? context : std::max<size_t>(1, context - context / 4);
    logits = read(std::min(keep, tokens_.size()));
  }
  tokens_.push_back(sampler_.sample(logits, tokens_));
  unread_ = 1;
  return tokens_.back();
}

/// Extends the cache by the last `count` tokens.
std::span<const float> Generator::read(size_t count) {
  return model_.extend(*cache_, std::span(tokens_).last(count));
}

}  // namespace hipgpt
