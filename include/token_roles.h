// TokenRoles: the tokens that begin, end and pad a model's texts.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tokenizer.h"

namespace hipgpt {

/// A role that a model does not name is empty. Every id is below the size of the vocabulary.
struct TokenRoles {
  std::optional<int32_t> begin, pad;
  std::vector<int32_t> end;  ///< any of these ends a text

  bool operator==(const TokenRoles&) const = default;
  bool empty() const { return *this == TokenRoles(); }

  /// Returns these roles, and those of `base` where these are empty.
  TokenRoles over(const TokenRoles& base) const;

  /// Returns these roles; <|endoftext|>, if the vocabulary has it, begins and ends texts unless another token
  /// does.
  TokenRoles complete(const Tokenizer& tokenizer) const;
};

}  // namespace hipgpt
