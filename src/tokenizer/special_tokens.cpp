#include "tokenizer/special_tokens.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

#include "error.h"
#include "tokenizer/byte_alphabet.h"

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

/// A vocabulary file holds special tokens verbatim and all other tokens in GPT-2's byte alphabet. A text such
/// as "Ġthe" would be ambiguous there.
void check_text(const std::string& text) {
  if (text.empty()) throw Error("a special token is empty: give it a text such as <|endoftext|>");
  if (!is_utf8(text)) throw Error("a special token is not UTF-8, which tokenizer.json needs");
  const auto bytes = unspell_bytes(text);
  if (bytes && *bytes != text) {
    throw Error(fmt::format(
        "special token \"{}\" could be mistaken for bytes: use ASCII, as in <|endoftext|>", text));
  }
}

}  // namespace

SpecialTokens::SpecialTokens(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
  std::ranges::sort(tokens_, {}, &Token::id);
  std::vector<std::string> texts;
  for (const Token& token : tokens_) texts.push_back(token.text);
  texts_ = SortedTexts(std::move(texts));
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    const std::string& text = tokens_[i].text;
    check_text(text);
    if (texts_.find(text) != i) throw Error(fmt::format("special token \"{}\" is listed twice", text));
    if (first_bytes_.find(text[0]) == first_bytes_.npos) first_bytes_ += text[0];
    longest_ = std::max(longest_, text.size());
  }
}

std::optional<int32_t> SpecialTokens::id_of(std::string_view text) const {
  const auto found = texts_.find(text);
  return found ? std::optional(tokens_[*found].id) : std::nullopt;
}

size_t SpecialTokens::next_candidate(std::string_view text, size_t from) const {
  // Special tokens usually all begin with '<', in which case this is as fast as memchr.
  const size_t at =
      first_bytes_.size() == 1 ? text.find(first_bytes_[0], from) : text.find_first_of(first_bytes_, from);
  return std::min(at, text.size());
}

const SpecialTokens::Token* SpecialTokens::match_at(std::string_view text, size_t position) const {
  const auto found = texts_.longest_prefix(text.substr(position));
  return found ? &tokens_[*found] : nullptr;
}

SpecialTokens::Match SpecialTokens::find(std::string_view text, size_t from) const {
  for (size_t at = next_candidate(text, from); at < text.size(); at = next_candidate(text, at + 1)) {
    if (const Token* token = match_at(text, at)) return {at, at + token->text.size(), token->id};
  }
  return {text.size(), text.size(), -1};
}

bool SpecialTokens::straddles(std::string_view text, size_t cut) const {
  for (size_t begin = cut - std::min(cut, longest_); begin < cut; ++begin) {
    const Token* token = match_at(text, begin);
    if (token && begin + token->text.size() > cut) return true;
  }
  return false;
}

}  // namespace hipgpt
