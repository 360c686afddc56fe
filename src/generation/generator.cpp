#include "generator.h"

#include <algorithm>

#include "error.h"
#include "model/memory_plan.h"

namespace hipgpt {

Generator::Generator(const GPTModel& model, const Sampling& sampling, int samples)
    : model_(model),
      device_(model.device()),
      sampling_(sampling),
      cache_(model, samples),
      tokens_(static_cast<size_t>(samples)),
      new_tokens_(static_cast<size_t>(samples)) {
  MemoryPlan plan;
  plan.add(token_, {samples, 1}, DType::kI32);
  plan.add(draw_, {samples, 2}, DType::kI32);
  plan.add(seen_, {samples, model.config().vocab_size}, DType::kI32);
  memory_ = plan.allocate(device_);
  cache_.capture_append(token_, [this](Tensor logits) { sample(logits); });
}

Generator::Generator(const GPTModel& model, std::span<const int32_t> prompt, const Sampling& sampling)
    : Generator(model, sampling, 1) {
  start(prompt);
}

void Generator::start(std::span<const int32_t> prompt, int64_t first) {
  if (prompt.empty()) throw Error("the prompt has no tokens: give at least one character");
  model_.config().check_tokens(prompt, "the prompt");
  std::vector<int32_t> seen(static_cast<size_t>(model_.config().vocab_size), 0);
  for (const int32_t id : prompt) seen[static_cast<size_t>(id)] = 1;
  std::vector<int32_t> draws;
  for (int b = 0; b < samples(); ++b) {
    tokens_[static_cast<size_t>(b)].assign(prompt.begin(), prompt.end());
    draws.insert(draws.end(), {static_cast<int32_t>(first + b), 0});
    device_.copy_to_device(seen_.rows(b, 1), seen.data());
  }
  device_.copy_to_device(draw_, draws.data());
  cache_.clear();
}

int32_t Generator::next() {
  if (tokens_[0].empty()) throw Error("the Generator has no prompt: call start() first");
  const auto context = static_cast<size_t>(model_.config().max_seq_len);
  const auto cached = static_cast<size_t>(cache_.length());
  if (cached == 0) {  // all samples hold only the prompt
    const std::span<const int32_t> prompt = tokens_[0];
    sample(cache_.begin(prompt.last(std::min(context, prompt.size()))));
  } else if (cached < context) {
    cache_.append();
  } else {
    cache_.clear();
    read_last(std::max<size_t>(1, context - context / 4));
  }
  device_.copy_to_host(new_tokens_.data(), token_);
  for (size_t b = 0; b < tokens_.size(); ++b) {
    if (new_tokens_[b] < 0)
      throw Error("the model's logits are not finite: the model is broken, use another one");
    tokens_[b].push_back(new_tokens_[b]);
  }
  return new_tokens_[0];
}

/// Reads the last `count` tokens of every sample into the empty cache and draws the next token.
void Generator::read_last(size_t count) {
  std::vector<int32_t> last;
  for (const auto& tokens : tokens_)
    last.insert(last.end(), tokens.end() - static_cast<ptrdiff_t>(count), tokens.end());
  sample(cache_.extend(last));
}

void Generator::sample(Tensor logits) {
  device_.sample(token_, logits, seen_, draw_, sampling_);
}

std::vector<float> Generator::logits() const {
  const Tensor logits = cache_.logits();
  std::vector<float> host(static_cast<size_t>(logits.size()));
  device_.copy_to_host(host.data(), logits);
  return host;
}

}  // namespace hipgpt
