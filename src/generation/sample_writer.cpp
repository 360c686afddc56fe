#include "generation/sample_writer.h"

#include <fmt/format.h>

#include "generation/standard_streams.h"
#include "util/json.h"
#include "util/utf8_stream.h"

namespace hipgpt {

void SampleWriter::write(size_t i, std::string_view text) {
  if (i == front_) return write_out(text);
  waiting(i).text += text;
}

void SampleWriter::close(size_t i) {
  waiting(i).closed = true;
  while (waiting(front_).closed) {
    ++front_;
    write_out(waiting(front_).text);
    waiting(front_).text.clear();
  }
}

SampleWriter::Waiting& SampleWriter::waiting(size_t i) {
  if (i >= waiting_.size()) waiting_.resize(i + 1);
  return waiting_[i];
}

namespace {

/// Returns a token's text as a quoted and escaped JSON string.
std::string quoted(const Tokenizer& tokenizer, int32_t id) {
  return json_quoted(tokenizer.token_bytes(id));
}

class TextWriter final : public SampleWriter {
 public:
  TextWriter(const Tokenizer& tokenizer, const Prompt& prompt, bool separate)
      : tokenizer_(tokenizer), prompt_(prompt), separate_(separate) {}

  void token(size_t i, int32_t id) override { write(i, stream(i).push(tokenizer_.token_bytes(id))); }

  void finish(size_t i, const Sample& sample) override {
    write(i, stream(i).finish() + "\n" + table(sample));
    close(i);
  }

 private:
  /// Returns the stream of sample i and starts it on first use.
  Utf8Stream& stream(size_t i) {
    while (streams_.size() <= i) {
      const size_t begun = streams_.size();
      streams_.emplace_back();
      write(begun, (begun > 0 || separate_ ? "---\n" : "") + streams_.back().push(prompt_.text));
    }
    return streams_[i];
  }

  std::string table(const Sample& sample) const {
    std::string lines;
    for (size_t t = 0; t < prompt_.logprobs.size(); ++t) {
      const auto& logprob = prompt_.logprobs[t];
      lines += fmt::format("{:>9}  {}\n", logprob ? fmt::format("{:.4f}", *logprob) : "-",
                           quoted(tokenizer_, prompt_.tokens[t]));
    }
    for (const DrawnToken& drawn : sample.scores) {
      lines += fmt::format("{:9.4f}  {}", drawn.chosen.logprob, quoted(tokenizer_, drawn.chosen.id));
      for (const ScoredToken& other : drawn.likeliest)
        lines += fmt::format("  {:.4f} {}", other.logprob, quoted(tokenizer_, other.id));
      lines += "\n";
    }
    return lines;
  }

  const Tokenizer& tokenizer_;
  const Prompt& prompt_;
  bool separate_;
  std::vector<Utf8Stream> streams_;
};

class JsonWriter final : public SampleWriter {
 public:
  JsonWriter(const Tokenizer& tokenizer, const Prompt& prompt, uint64_t seed, int64_t first)
      : tokenizer_(tokenizer), prompt_(prompt), seed_(seed), first_(first) {}

  void token(size_t, int32_t) override {}

  void finish(size_t i, const Sample& sample) override {
    auto text = std::span(sample.tokens);
    if (sample.finish == Finish::kStop) text = text.first(text.size() - 1);
    JsonValue json = {{"prompt", prompt_.text},  {"text", tokenizer_.decode(text)},
                      {"tokens", sample.tokens}, {"finish_reason", name(*sample.finish)},
                      {"seed", seed_},           {"sample", first_ + static_cast<int64_t>(i)}};
    if (!prompt_.logprobs.empty()) add_logprobs(json, sample);
    write(i, json.dump() + "\n");
    close(i);
  }

 private:
  static const char* name(Finish finish) {
    switch (finish) {
      case Finish::kLength: return "length";
      case Finish::kStop: return "stop";
      default: return "interrupted";
    }
  }

  JsonValue scored(const ScoredToken& token) const {
    return {{"token", token.id},
            {"text", std::string(tokenizer_.token_bytes(token.id))},
            {"logprob", token.logprob}};
  }

  void add_logprobs(JsonValue& json, const Sample& sample) const {
    JsonValue::Array prompt, tokens;
    for (const auto& logprob : prompt_.logprobs)
      prompt.push_back(logprob ? JsonValue(*logprob) : JsonValue());
    for (const DrawnToken& drawn : sample.scores) {
      JsonValue& token = tokens.emplace_back(scored(drawn.chosen));
      JsonValue::Array likeliest;
      for (const ScoredToken& other : drawn.likeliest) likeliest.push_back(scored(other));
      if (!likeliest.empty()) token.set("likeliest", std::move(likeliest));
    }
    json.set("prompt_tokens", prompt_.tokens);
    json.set("prompt_logprobs", std::move(prompt));
    json.set("logprobs", std::move(tokens));
  }

  const Tokenizer& tokenizer_;
  const Prompt& prompt_;
  uint64_t seed_;
  int64_t first_;
};

}  // namespace

std::unique_ptr<SampleWriter> make_text_writer(const Tokenizer& tokenizer, const Prompt& prompt,
                                               bool separate) {
  return std::make_unique<TextWriter>(tokenizer, prompt, separate);
}

std::unique_ptr<SampleWriter> make_json_writer(const Tokenizer& tokenizer, const Prompt& prompt,
                                               uint64_t seed, int64_t first) {
  return std::make_unique<JsonWriter>(tokenizer, prompt, seed, first);
}

}  // namespace hipgpt
