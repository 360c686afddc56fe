#include "training/samples.h"

#include <algorithm>
#include <utility>

#include "util/utf8_stream.h"

namespace hipgpt {

namespace {

constexpr size_t kFirstTokens = 8;

}  // namespace

Samples::Samples(const GPTModel& model, const Tokenizer& tokenizer, const TokenRoles& roles,
                 std::vector<int32_t> prompt, int64_t num_tokens, uint64_t seed)
    : tokenizer_(tokenizer),
      ends_(roles.complete(tokenizer).end),
      prompt_(std::move(prompt)),
      prompt_text_(valid_utf8(tokenizer.decode(prompt_))),
      num_tokens_(num_tokens),
      generator_(model, prompt_, {.seed = seed}) {}

std::string Samples::continuation() {
  std::string text;
  generator_.start(prompt_);
  for (int64_t i = 0; i < num_tokens_; ++i) {
    const int32_t token = generator_.next();
    if (std::ranges::find(ends_, token) != ends_.end()) break;
    text += tokenizer_.token_bytes(token);
  }
  return valid_utf8(text);
}

std::vector<int32_t> first_tokens(const TokenShards& text, const Tokenizer& tokenizer) {
  std::vector<int32_t> tokens(std::min(kFirstTokens, text.size()));
  text.copy(0, tokens.size(), tokens.data());
  const auto ends_line = [&](int32_t token) {
    return tokenizer.token_bytes(token).find('\n') != std::string_view::npos;
  };
  const auto end = std::find_if(tokens.begin(), tokens.end(), ends_line);
  if (end != tokens.begin()) tokens.erase(end, tokens.end());
  return tokens;
}

}  // namespace hipgpt
