#include "tokenizer/special_tokens.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

#include "error.h"

namespace hipgpt {
namespace {

bool is_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  utf8proc_int32_t code_point;
  while (left > 0) {
    const auto size = utf8proc_iterate(bytes, left, &code_point);
    if (size <= 0) return false;
    bytes += size;
    left -= size;
  }
  return true;
}

}  // namespace

SpecialTokens::SpecialTokens(std::vector<Token> tokens, Normalization form) : tokens_(std::move(tokens)) {
  std::ranges::sort(tokens_, {}, &Token::id);
  std::vector<std::string> texts;
  for (const Token& token : tokens_) texts.push_back(token.text);
  texts_ = SortedTexts(std::move(texts));
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    const std::string& text = tokens_[i].text;
    if (text.empty()) throw Error("a special token is empty: give it a text such as <|endoftext|>");
    if (!is_utf8(text)) throw Error("a special token is not UTF-8, which tokenizer.json needs");
    if (texts_.find(text) != i) throw Error(fmt::format("special token \"{}\" is listed twice", text));
  }
  std::vector<Token> verbatim_tokens, normalized_tokens;
  std::string storage;
  for (const Token& token : tokens_) {
    if (token.normalized) {
      normalized_texts_.emplace_back(hipgpt::normalized(form, token.text, storage));
      normalized_tokens.push_back({normalized_texts_.back(), token.id});
    } else {
      verbatim_tokens.push_back(token);
    }
  }
  verbatim_ = Search(verbatim_tokens);
  normalized_ = Search(normalized_tokens);
}

std::optional<int32_t> SpecialTokens::id_of(std::string_view text) const {
  const auto found = texts_.find(text);
  return found ? std::optional(tokens_[*found].id) : std::nullopt;
}

bool SpecialTokens::straddles(std::string_view text, size_t cut) const {
  return verbatim_.straddles(text, cut) || normalized_.straddles(text, cut);
}

bool SpecialTokens::any_normalized_contains(std::string_view characters) const {
  return std::ranges::any_of(
      normalized_texts_, [&](const std::string& text) { return text.find(characters) != std::string::npos; });
}

SpecialTokens::Search::Search(const std::vector<Token>& tokens) {
  std::vector<std::string> texts;
  for (const Token& token : tokens) {
    texts.push_back(token.text);
    ids_.push_back(token.id);
    sizes_.push_back(token.text.size());
    if (first_bytes_.find(token.text[0]) == first_bytes_.npos) first_bytes_ += token.text[0];
    longest_ = std::max(longest_, token.text.size());
  }
  texts_ = SortedTexts(std::move(texts));
}

size_t SpecialTokens::Search::next_candidate(std::string_view text, size_t from) const {
  // Special tokens usually all begin with '<', in which case this is as fast as memchr.
  const size_t at =
      first_bytes_.size() == 1 ? text.find(first_bytes_[0], from) : text.find_first_of(first_bytes_, from);
  return std::min(at, text.size());
}

/// Returns the longest token that starts at `position`; an empty match if there is none.
SpecialTokens::Match SpecialTokens::Search::match_at(std::string_view text, size_t position) const {
  const auto found = texts_.longest_prefix(text.substr(position));
  return found ? Match{position, position + sizes_[*found], ids_[*found]} : Match{position, position, -1};
}

SpecialTokens::Match SpecialTokens::Search::find(std::string_view text, size_t from) const {
  for (size_t at = next_candidate(text, from); at < text.size(); at = next_candidate(text, at + 1)) {
    if (const Match match = match_at(text, at); match.end > at) return match;
  }
  return {text.size(), text.size(), -1};
}

bool SpecialTokens::Search::straddles(std::string_view text, size_t cut) const {
  for (size_t begin = cut - std::min(cut, longest_); begin < cut; ++begin) {
    if (match_at(text, begin).end > cut) return true;
  }
  return false;
}

}  // namespace hipgpt
