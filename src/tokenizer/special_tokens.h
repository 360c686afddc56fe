// Special tokens, such as <|endoftext|>, are found before anything else and never merged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/sorted_texts.h"

namespace hipgpt {

class SpecialTokens {
 public:
  struct Token {
    std::string text;
    int32_t id;
  };
  struct Match {
    size_t begin, end;
    int32_t id;
  };

  SpecialTokens() = default;
  /// Throws Error for a text that is empty, listed twice, not UTF-8, or that could be mistaken for bytes.
  explicit SpecialTokens(std::vector<Token> tokens);

  bool empty() const { return tokens_.empty(); }
  const std::vector<Token>& tokens() const { return tokens_; }
  std::optional<int32_t> id_of(std::string_view text) const;

  /// Returns the leftmost special token at or after `from`, and the longest of those that start there. If
  /// there is none, returns an empty match at the end of the text.
  Match find(std::string_view text, size_t from) const;

  /// Returns whether a special token begins before `cut` and ends after it.
  bool straddles(std::string_view text, size_t cut) const;

  /// Calls plain(piece) and special(id) in text order.
  template <typename Plain, typename Special>
  void split(std::string_view text, Plain&& plain, Special&& special) const {
    for (size_t begin = 0; begin < text.size();) {
      const Match match = find(text, begin);
      if (match.begin > begin) plain(text.substr(begin, match.begin - begin));
      if (match.end > match.begin) special(match.id);
      begin = match.end;
    }
  }

 private:
  size_t next_candidate(std::string_view text, size_t from) const;
  const Token* match_at(std::string_view text, size_t position) const;

  std::vector<Token> tokens_;  // in order of id
  SortedTexts texts_;          // of tokens_, with their indices
  std::string first_bytes_;
  size_t longest_ = 0;
};

}  // namespace hipgpt
