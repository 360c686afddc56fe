#include "generator.h"

#include <algorithm>

#include "error.h"
#include "model/memory_plan.h"

namespace hipgpt {

Generator::Generator(const GPTModel& model, std::span<const int32_t> prompt, const Sampling& sampling)
    : model_(model),
      device_(model.device()),
      sampling_(sampling),
      cache_(model.make_cache()),
      tokens_(prompt.begin(), prompt.end()) {
  if (prompt.empty()) throw Error("the prompt has no tokens: give at least one character");
  const int64_t V = model.config().vocab_size;
  MemoryPlan plan;
  plan.add(token_, {1, 1}, DType::kI32);
  plan.add(draw_, {1}, DType::kI32);
  plan.add(seen_, {V}, DType::kI32);
  memory_ = plan.allocate(device_);

  std::vector<int32_t> seen(static_cast<size_t>(V), 0);
  for (const int32_t id : prompt) seen[static_cast<size_t>(id)] = 1;
  device_.copy_to_device(seen_, seen.data());
  device_.set_zero(draw_);
  append_and_sample_ = device_.record([this] { sample(model_.append(*cache_, token_)); });
}

int32_t Generator::next() {
  const auto context = static_cast<size_t>(model_.config().max_seq_len);
  const auto cached = static_cast<size_t>(cache_->length());
  if (cached == 0) {
    read_last(std::min(context, tokens_.size()));
  } else if (cached < context) {
    append_and_sample_->run();
    cache_->appended();
  } else {
    cache_->clear();
    read_last(std::max<size_t>(1, context - context / 4));
  }
  int32_t token = -1;
  device_.copy_to_host(&token, token_);
  if (token < 0) throw Error("the model's logits are not finite numbers: it is broken");
  tokens_.push_back(token);
  return token;
}

/// Extends the cache by the last `count` tokens, and samples.
void Generator::read_last(size_t count) {
  sample(model_.extend(*cache_, std::span(tokens_).last(count)));
}

void Generator::sample(Tensor logits) {
  device_.sample(token_.reshape({1}), logits, seen_, draw_, sampling_);
}

}  // namespace hipgpt
