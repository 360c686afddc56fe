// Keeps texts sorted by their bytes, so that a search need not examine them all.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hipgpt {

/// A dictionary may come from an untrusted source and hold any number of texts, so a search takes O(length
/// log n) steps.
class SortedTexts {
 public:
  SortedTexts() = default;

  /// Numbers the texts from 0 in the given order. Among equal texts a search finds the first.
  explicit SortedTexts(std::vector<std::string> texts) : texts_(std::move(texts)), order_(texts_.size()) {
    for (uint32_t i = 0; i < order_.size(); ++i) order_[i] = i;
    std::ranges::stable_sort(order_, {}, [this](uint32_t i) { return std::string_view(texts_[i]); });
  }

  /// Returns the number of the longest text that is a prefix of `s`. `looks`, if given, counts the bytes of
  /// texts that the search examined.
  std::optional<uint32_t> longest_prefix(std::string_view s, size_t* looks = nullptr) const {
    std::optional<uint32_t> found;
    auto first = order_.begin(), last = order_.end();  // the texts that agree with s so far
    for (size_t depth = 0; first != last; ++depth) {
      if (last - first == 1) {  // the usual case: most tokenizers have one special token
        if (looks != nullptr) *looks += texts_[*first].size() - depth;
        return s.starts_with(texts_[*first]) ? *first : found;
      }
      // Texts that end here come first.
      if (texts_[*first].size() == depth) found = *first;
      if (depth == s.size()) break;
      const auto byte_at = [&](uint32_t i) {
        if (looks != nullptr) ++*looks;
        return texts_[i].size() == depth ? -1 : static_cast<unsigned char>(texts_[i][depth]);
      };
      const int byte = static_cast<unsigned char>(s[depth]);
      first = std::ranges::lower_bound(first, last, byte, {}, byte_at);
      last = std::ranges::upper_bound(first, last, byte, {}, byte_at);
    }
    return found;
  }

  /// Returns the number of the text equal to `text`.
  std::optional<uint32_t> find(std::string_view text, size_t* looks = nullptr) const {
    const auto found = longest_prefix(text, looks);
    return found && texts_[*found].size() == text.size() ? found : std::nullopt;
  }

 private:
  std::vector<std::string> texts_;
  std::vector<uint32_t> order_;  // numbers of texts
};

}  // namespace hipgpt
