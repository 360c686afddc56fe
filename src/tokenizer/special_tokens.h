// Special tokens, such as <|endoftext|>, are found before anything else and never merged. tokenizer.json
// calls them added tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/normalizer.h"
#include "tokenizer/sorted_texts.h"

namespace hipgpt {

class SpecialTokens {
 public:
  struct Token {
    std::string text;
    int32_t id;
    bool special = true;      // false: transformers prints it although it leaves out special tokens
    bool normalized = false;  // found after the others, in the normalized text between them
  };
  struct Match {
    size_t begin, end;
    int32_t id;
  };

  SpecialTokens() = default;
  /// `form` is that of the texts in which normalized tokens are found. Throws Error for a text that is empty,
  /// listed twice or not UTF-8.
  explicit SpecialTokens(std::vector<Token> tokens, Normalization form = Normalization::kNone);

  const std::vector<Token>& tokens() const { return tokens_; }
  std::optional<int32_t> id_of(std::string_view text) const;

  /// Returns whether some tokens are normalized and others are not, so that a text is searched twice.
  bool searches_twice() const { return !verbatim_.empty() && !normalized_.empty(); }

  /// Returns whether a special token begins before `cut` and ends after it, in a text that is not normalized.
  bool straddles(std::string_view text, size_t cut) const;

  /// Returns whether a normalized token contains these characters.
  bool any_normalized_contains(std::string_view characters) const;

  /// Calls plain(piece) and special(id) in text order. normalize(piece) returns a piece's normalized text,
  /// which must live until the next call.
  template <typename Normalize, typename Plain, typename Special>
  void split(std::string_view text, Normalize&& normalize, Plain&& plain, Special&& special) const {
    const auto split_again = [&](std::string_view piece) {
      normalized_.split(normalize(piece), plain, special);
    };
    verbatim_.split(text, split_again, special);
  }
  template <typename Plain, typename Special>
  void split(std::string_view text, Plain&& plain, Special&& special) const {
    split(text, std::identity(), plain, special);
  }

 private:
  /// The tokens that are looked for at the same time.
  class Search {
   public:
    Search() = default;
    explicit Search(const std::vector<Token>& tokens);

    bool empty() const { return ids_.empty(); }

    template <typename Plain, typename Special>
    void split(std::string_view text, Plain& plain, Special& special) const {
      for (size_t begin = 0; begin < text.size();) {
        const Match match = find(text, begin);
        if (match.begin > begin) plain(text.substr(begin, match.begin - begin));
        if (match.end > match.begin) special(match.id);
        begin = match.end;
      }
    }

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

  std::vector<Token> tokens_;     // in order of id
  SortedTexts texts_;             // of tokens_, with their indices
  Search verbatim_, normalized_;  // the latter sees what the former leaves
  std::vector<std::string> normalized_texts_;
};

}  // namespace hipgpt
