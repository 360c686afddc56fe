#include "generation/completer.h"

#include <algorithm>
#include <utility>

#include "generation/perplexity.h"

namespace hipgpt {

namespace {

/// The number of samples drawn together. Each sample has its own keys and values in memory, and more samples
/// would not make a step more efficient.
constexpr int64_t kTogether = 64;

}  // namespace

Completer::Completer(const GenerationRun& run, const Sampling& sampling, std::vector<int32_t> stop_tokens,
                     const Tokenizer& tokenizer, GPTModel& model)
    : run_(run),
      sampling_(sampling),
      stop_tokens_(std::move(stop_tokens)),
      tokenizer_(tokenizer),
      model_(model) {
  if (run.logprobs < 0) return;
  prompt_windows_.emplace(model, default_stride(model),
                          [this](int32_t, float loss) { prompt_logprobs_.emplace_back(-loss); });
}

void Completer::complete(const std::string& text, int64_t first, bool separate,
                         const std::function<bool()>& interrupted) {
  const Prompt prompt = read_prompt(text);
  const auto writer = run_.json ? make_json_writer(tokenizer_, prompt, sampling_.seed, first)
                                : make_text_writer(tokenizer_, prompt, separate);
  for (int64_t offset = 0; offset < run_.num_samples && !interrupted(); offset += kTogether) {
    const auto count = static_cast<int>(std::min(kTogether, run_.num_samples - offset));
    draw(prompt, first, offset, count, *writer, interrupted);
  }
}

Prompt Completer::read_prompt(const std::string& text) {
  Prompt prompt{text, tokenizer_.encode(text), {}};
  if (prompt_windows_) {
    prompt_logprobs_ = {std::nullopt};  // the first token has no context
    prompt_windows_->push(prompt.tokens);
    prompt_windows_->finish();
    prompt.logprobs = prompt_logprobs_;
  }
  return prompt;
}

/// Draws samples offset ... offset+count-1 of the prompt.
void Completer::draw(const Prompt& prompt, int64_t first, int64_t offset, int count, SampleWriter& writer,
                     const std::function<bool()>& interrupted) {
  if (!generator_ || generator_->samples() != count) {
    generator_.reset();
    generator_.emplace(model_, sampling_, count);
  }
  generator_->start(prompt.tokens, first + offset);
  std::vector<Sample> samples(static_cast<size_t>(count));
  const auto goes_on = [](const Sample& sample) { return !sample.finish; };
  for (int64_t n = 0; n < run_.num_tokens && std::any_of(samples.begin(), samples.end(), goes_on); ++n) {
    if (interrupted()) break;
    generator_->next();
    take_tokens(samples, offset, writer);
  }
  for (size_t b = 0; b < samples.size(); ++b) {
    if (samples[b].finish) continue;
    samples[b].finish = interrupted() ? Finish::kInterrupted : Finish::kLength;
    writer.finish(static_cast<size_t>(offset) + b, samples[b]);
  }
}

/// Takes the token just drawn for each unfinished sample.
void Completer::take_tokens(std::span<Sample> samples, int64_t offset, SampleWriter& writer) {
  const std::vector<float> logits = run_.logprobs >= 0 ? generator_->logits() : std::vector<float>();
  const auto vocab = static_cast<size_t>(model_.config().vocab_size);
  for (size_t b = 0; b < samples.size(); ++b) {
    Sample& sample = samples[b];
    if (sample.finish) continue;
    const int32_t token = generator_->tokens(static_cast<int>(b)).back();
    sample.tokens.push_back(token);
    if (run_.logprobs >= 0)
      sample.scores.push_back(score_token(std::span(logits).subspan(b * vocab, vocab), token, run_.logprobs));
    ++tokens_drawn_;
    if (std::ranges::find(stop_tokens_, token) != stop_tokens_.end()) {
      sample.finish = Finish::kStop;
      writer.finish(static_cast<size_t>(offset) + b, sample);
    } else {
      writer.token(static_cast<size_t>(offset) + b, token);
    }
  }
}

}  // namespace hipgpt
