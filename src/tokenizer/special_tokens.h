// Special tokens, such as <|endoftext|>, are found before anything else and never merged. tokenizer.json
// calls them added tokens.
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
    bool special = true;      // false: transformers prints it although it leaves out special tokens
    bool normalized = false;  // found after those that are not normalized, in the text between them
  };
  struct Match {
    size_t begin, end;
    int32_t id;
  };

  SpecialTokens() = default;
  /// Throws Error for a text that is empty, listed twice or not UTF-8.
  explicit SpecialTokens(std::vector<Token> tokens);

  const std::vector<Token>& tokens() const { return tokens_; }
  std::optional<int32_t> id_of(std::string_view text) const;

  /// Returns whether some tokens are normalized and others are not, so that a text is searched twice.
  bool searches_twice() const { return searches_.size() > 1; }

  /// Returns whether a special token begins before `cut` and ends after it.
  bool straddles(std::string_view text, size_t cut) const;

  /// Calls plain(piece) and special(id) in text order.
  template <typename Plain, typename Special>
  void split(std::string_view text, Plain&& plain, Special&& special) const {
    split_from(0, text, plain, special);
  }

 private:
  /// The tokens that are looked for at the same time.
  class Search {
   public:
    explicit Search(const std::vector<Token>& tokens);

    /// Returns the leftmost token at or after `from`, and the longest of those that start there. If there is
    /// none, returns an empty match at the end of the text.
    Match find(std::string_view text, size_t from) const;
    bool straddles(std::string_view text, size_t cut) const;

   private:
    size_t next_candidate(std::string_view text, size_t from) const;
    Match match_at(std::string_view text, size_t position) const;

    std::vector<int32_t> ids_;
    std::vector<size_t> sizes_;
    SortedTexts texts_;  // with their indices in ids_ and sizes_
    std::string first_bytes_;
    size_t longest_ = 0;
  };

  template <typename Plain, typename Special>
  void split_from(size_t search, std::string_view text, Plain& plain, Special& special) const {
    if (search == searches_.size()) return plain(text);
    for (size_t begin = 0; begin < text.size();) {
      const Match match = searches_[search].find(text, begin);
      if (match.begin > begin)
        split_from(search + 1, text.substr(begin, match.begin - begin), plain, special);
      if (match.end > match.begin) special(match.id);
      begin = match.end;
    }
  }

  std::vector<Token> tokens_;     // in order of id
  SortedTexts texts_;             // of tokens_, with their indices
  std::vector<Search> searches_;  // at most two; the later one sees what the earlier one leaves
};

}  // namespace hipgpt
